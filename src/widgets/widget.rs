//! Widgets of any kind, and what all kinds have in common.

use super::model::{Classes, Model};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A widget of any kind: what boxes hold. Each kind's `widget()` gives one.
#[derive(Clone, PartialEq)]
pub struct Widget {
    pub(super) model: Model,
}

impl Widget {
    pub(super) fn of(model: &Model) -> Widget {
        crate::display::known::draw_widget::<Widget>(|widget| widget.model.view());
        Widget { model: model.clone() }
    }

    /// Shows it at once, beside the result of the cell.
    pub fn show(&self) {
        crate::display::display(self);
    }

    /// Removes it wherever it is shown.
    pub fn close(&self) {
        self.model.close();
    }
}

impl fmt::Debug for Widget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.model.fmt(f)
    }
}

/// The state that travels with a widget: its comm's id.
#[derive(Serialize, Deserialize)]
pub(super) struct Passed(pub String);

/// A layout: CSS in a model of its own, because ipywidgets has it so.
pub(super) fn set_layout(model: &Model, key: &str, value: &str) {
    const LAYOUT: Classes = Classes {
        name: "Layout",
        model: "LayoutModel",
        view: "LayoutView",
        module: "@jupyter-widgets/base",
        version: "2.0.0",
    };
    let known: Option<String> = model.get("layout");
    let layout = match known.as_deref().and_then(|layout| layout.strip_prefix("IPY_MODEL_")) {
        Some(id) => Model::known(LAYOUT, id),
        None => Model::new(LAYOUT),
    };
    layout.set(key, value);
    if known.is_none() {
        let reference = layout.reference();
        model.set("layout", reference);
    }
}

/// Implements what every kind of widget has.
macro_rules! is_widget {
    ($type:ident, $classes:expr) => {
        impl $type {
            const CLASSES: $crate::widgets::model::Classes = $classes;

            fn made() -> $type {
                $type::around($crate::widgets::model::Model::new($type::CLASSES))
            }

            fn around(model: $crate::widgets::model::Model) -> $type {
                $crate::display::known::draw_widget::<$type>(|widget| widget.model.view());
                $type { model }
            }

            /// This widget as one of any kind, for a box.
            pub fn widget(&self) -> $crate::widgets::Widget {
                $crate::widgets::Widget::of(&self.model)
            }

            /// Shows it at once, beside the result of the cell.
            pub fn show(&self) {
                $crate::display::display(self);
            }

            /// Removes it wherever it is shown.
            pub fn close(&self) {
                self.model.close();
            }

            /// Its width, as CSS writes it: `"300px"`, `"50%"`.
            pub fn width(self, width: &str) -> $type {
                $crate::widgets::widget::set_layout(&self.model, "width", width);
                self
            }

            /// Its height, as CSS writes it.
            pub fn height(self, height: &str) -> $type {
                $crate::widgets::widget::set_layout(&self.model, "height", height);
                self
            }

            /// Hides it, or shows it again, wherever it is.
            pub fn set_visible(&self, is_visible: bool) {
                let display = if is_visible { "" } else { "none" };
                $crate::widgets::widget::set_layout(&self.model, "display", display);
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.model.fmt(f)
            }
        }

        impl From<$type> for $crate::widgets::Widget {
            fn from(widget: $type) -> $crate::widgets::Widget {
                widget.widget()
            }
        }

        impl From<&$type> for $crate::widgets::Widget {
            fn from(widget: &$type) -> $crate::widgets::Widget {
                widget.widget()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.model.open();
                $crate::widgets::widget::Passed(self.model.id().to_owned()).serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let $crate::widgets::widget::Passed(id) = serde::Deserialize::deserialize(deserializer)?;
                Ok($type::around($crate::widgets::model::Model::known($type::CLASSES, &id)))
            }
        }
    };
}

/// Setters of options: `name: type "what it does" = "key"`.
macro_rules! options {
    ($type:ident { $($(#[$doc:meta])* $name:ident: $of:ty = $key:literal),* $(,)? }) => {
        impl $type {
            $(
                $(#[$doc])*
                pub fn $name(self, $name: $of) -> $type {
                    self.model.set($key, $name);
                    self
                }
            )*
        }
    };
}

/// The value of a widget: reading it, setting it, hearing of it.
macro_rules! has_value {
    ($type:ident, $of:ty, $set:ty) => {
        has_value!($type, $of, $set, set);
    };
    ($type:ident, $of:ty, $set:ty, $setter:ident) => {
        impl $type {
            /// The present value: what was set last, here or by a person.
            pub fn value(&self) -> $of {
                self.model.get("value").unwrap_or_default()
            }

            /// Sets the value, wherever the widget is shown.
            pub fn set_value(&self, value: $set) {
                self.model.$setter("value", value);
            }

            /// Calls `code` with each value that a person sets; of several while a cell runs, with the newest.
            ///
            /// # Panics
            /// In a task or an actor: set callbacks in a cell.
            pub fn on_change(&self, code: impl FnMut($of) + Send + 'static) -> $crate::widgets::Callback {
                self.model.on_change("value", code)
            }
        }

        impl $crate::widgets::Linkable for $type {
            type Value = $of;

            fn end(&self) -> $crate::widgets::link::End {
                $crate::widgets::link::End::of(&self.model, "value")
            }
        }
    };
}

pub(super) use {has_value, is_widget, options};
