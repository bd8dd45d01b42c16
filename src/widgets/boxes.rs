//! Boxes: widgets that hold others.

use super::model::{Model, controls};
use super::widget::{Widget, is_widget};

/// Defines the type of a box.
macro_rules! boxes {
    ($($(#[$doc:meta])* $type:ident = $model:literal, $view:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq)]
            pub struct $type {
                model: Model,
            }

            is_widget!($type, controls(stringify!($type), $model, $view));

            impl $type {
                /// With these in it: `[&slider, &button]`, or widgets of several kinds as `[slider.widget(), button.widget()]`.
                pub fn new<W: Into<Widget>>(children: impl IntoIterator<Item = W>) -> $type {
                    let widget = $type::made();
                    widget.set_children(children);
                    widget
                }

                /// Replaces what is in it.
                pub fn set_children<W: Into<Widget>>(&self, children: impl IntoIterator<Item = W>) {
                    let references: Vec<String> = children.into_iter().map(|child| child.into().model.reference()).collect();
                    self.model.set("children", references);
                }
            }
        )*
    };
}

boxes! {
    /// Widgets one below the other.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::{IntSlider, VBox};
    /// VBox::new([&IntSlider::new(1), &IntSlider::new(2)]).show();
    /// ```
    VBox = "VBoxModel", "VBoxView";
    /// Widgets one beside the other.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::{Button, HBox};
    /// HBox::new([Button::new("yes"), Button::new("no")]).show();
    /// ```
    HBox = "HBoxModel", "HBoxView";
    /// Widgets behind tabs.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::{Label, Tab};
    /// Tab::new([Label::new("a"), Label::new("b")]).titles(["first", "second"]).show();
    /// ```
    Tab = "TabModel", "TabView";
    /// Widgets that fold, one open at a time.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::{Accordion, Label};
    /// Accordion::new([Label::new("a")]).titles(["details"]).show();
    /// ```
    Accordion = "AccordionModel", "AccordionView";
}

/// Boxes of which one child is open.
macro_rules! selected {
    ($($type:ident),*) => {
        $(
            impl $type {
                /// The words on each.
                pub fn titles<T: Into<String>>(self, titles: impl IntoIterator<Item = T>) -> $type {
                    self.model.set("titles", titles.into_iter().map(Into::into).collect::<Vec<String>>());
                    self
                }

                /// Which one is open, from 0.
                pub fn selected(&self) -> Option<usize> {
                    self.model.get("selected_index")
                }

                /// Opens one, or none.
                pub fn select(&self, index: impl Into<Option<usize>>) {
                    self.model.set("selected_index", index.into());
                }
            }
        )*
    };
}

selected!(Tab, Accordion);
