//! The queue in front of the front end, as sessions see it. The root crate implements it.

use crate::event::Event;

/// The queue. Only [`Outlet::settle`] waits for the front end.
pub trait Outlet: Send + Sync {
    /// Puts an event in; they are delivered in this order.
    fn put(&self, event: Event);
    /// Whether it holds more than it should: then what cells write stays in their pipes.
    fn is_full(&self) -> bool;
    /// Has `bell` called from now on whenever it is full no longer.
    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>);
    /// Waits until the front end has taken everything that was put in before.
    fn settle(&self);
}
