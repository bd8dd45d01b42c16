//! The event queue between a session and its front end. The root crate implements it.

use crate::event::Event;

/// The event queue. Only [`Outlet::settle`] waits for the front end.
pub trait Outlet: Send + Sync {
    /// Appends an event. Events are delivered in this order.
    fn put(&self, event: Event);
    /// Whether it holds more than it should. While it does, the cells' output stays in its pipes.
    fn is_full(&self) -> bool;
    /// Has `bell` called from now on each time the queue stops being full.
    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>);
    /// Waits until the front end has taken every event that was appended before.
    fn settle(&self);
}
