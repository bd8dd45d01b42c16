//! Widgets: controls and displays in a notebook, over ipywidgets' protocol ("Jupyter widget messaging protocol", version 2.1).
//!
//! ```text
//!   controls.rs, boxes.rs, output.rs …   the types ─▶ model.rs   state ─▶ crate::comm ─▶ the session ─▶ front ends
//! ```
//!
//! A front end shows them where the package `jupyterlab_widgets` (or `ipywidgets`) is installed. Where there are none, such as
//! at the terminal, each shows as a text, and its values can be read and set all the same.
//!
//! ```
//! # mobula::inline::attach();
//! use mobula::widgets::{Checkbox, IntSlider, VBox};
//!
//! let n = IntSlider::new(3).max(10).description("n");
//! let loud = Checkbox::new(true).description("loud");
//! let all = VBox::new([n.widget(), loud.widget()]); // as the last expression of a cell, it is shown
//! n.set_value(5);
//! assert_eq!((n.value(), loud.value()), (5, true));
//! # drop(all);
//! ```
//!
//! Values are read and set from cells, tasks and actors: a widget is passed on like any other value. Callbacks run in the process of the
//! cells, between two cells, or at once on a thread if they are [`Callback::eager`]; what they print stands below the cell that set them.
//! They share values with cells through a `static`, an `Arc` or another widget, because the variables of cells are the cells' own.

mod any;
mod bounds;
mod boxes;
mod controls;
mod date;
mod interact;
mod link;
mod model;
mod output;
mod widget;

pub use crate::comm::Callback;
pub use any::AnyWidget;
pub use boxes::{Accordion, HBox, Tab, VBox};
pub use controls::{
    Button, Checkbox, DatePicker, Dropdown, FloatProgress, FloatSlider, HTML, Image, IntProgress, IntSlider, Label,
    Text, Textarea, ToggleButton,
};
pub use date::Date;
pub use interact::{Control, Interactive, IntoControl, interact};
pub use link::{Link, Linkable, link};
pub use output::Output;
pub use widget::Widget;
