//! The prelude: names that a cell has in scope without an import.

pub use crate::abi::{DriverMode, PlacementStrategy, SchedulingStrategy};
pub use crate::actor::{
    Actor, Call0, Call1, Call2, Call3, Call4, Call5, Call6, Call7, Spawn0, Spawn1, Spawn2, Spawn3, Spawn4, Spawn5,
    Spawn6, Spawn7, Spawn8, actor, kill,
};
pub use crate::api::{
    Bundle, Config, PlacementGroup, actors, available_resources, cancel, cluster_resources, dashboard, errors, get,
    get_timeout, gib, gpu_ids, init, init_with, is_cancelled, lookup, objects, placement_group, publish, put,
    remove_placement_group, shutdown, summary, tasks, timeline, unpublish, wait, wait_stream,
};
pub use crate::array::{Array, Buffer};
pub use crate::display::{DisplayAny, DisplayDebug, DisplayHandle, clear_output, display, display_as};
pub use crate::draw_target;
pub use crate::error::GetError;
pub use crate::object::ObjectRef;
pub use crate::progress::{Progress, progress};
pub use crate::remote::{Remote0, Remote1, Remote2, Remote3, Remote4, Remote5, Remote6, Remote7, Remote8};
pub use crate::show::{self, describe};
pub use crate::stream::{Stream0, Stream1, Stream2, Stream3, Stream4, Stream5, Stream6, Stream7, Stream8};
pub use crate::widgets;
pub use mobula_macros::remote;
pub use std::time::Duration;
