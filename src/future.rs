//! An executor for cells with `.await`, in sessions without an async runtime, and for the `async` methods of actors.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on the calling thread, which sleeps while the future is pending.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::block_on;
    use std::future::poll_fn;
    use std::task::Poll;

    #[test]
    fn a_future_that_another_thread_wakes_comes_to_its_end() {
        let mut polled = 0;
        let future = poll_fn(|context| {
            polled += 1;
            let waker = context.waker().clone();
            std::thread::spawn(move || waker.wake());
            if polled == 3 { Poll::Ready(7) } else { Poll::Pending }
        });
        assert_eq!(block_on(future), 7);
    }
}
