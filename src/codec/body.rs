//! A reusable vector for each thread: a body is written into it before the length of its object is known.

use postcard::ser_flavors::Flavor;
use std::cell::Cell;

/// A vector that has grown beyond this is not kept, because threads are many and few values are that large.
const KEPT_BYTES_MAX: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A body being written.
pub(super) struct Body(Vec<u8>);

impl Body {
    /// Takes the thread's vector. A body inside of another one (a `Serialize` that calls `put`) gets a new vector.
    pub(super) fn begin() -> Body {
        let mut bytes = SPARE.take();
        bytes.clear();
        Body(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the vector, for the next body of this thread.
    pub(super) fn end(self) {
        if self.0.capacity() <= KEPT_BYTES_MAX {
            SPARE.set(self.0);
        }
    }
}

impl Flavor for Body {
    type Output = Body;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Body> {
        Ok(self)
    }
}
