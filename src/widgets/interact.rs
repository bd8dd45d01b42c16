//! `interact`: a function whose arguments become controls.

use super::boxes::VBox;
use super::controls::{Checkbox, Dropdown, FloatSlider, IntSlider, Text};
use super::output::Output;
use super::{Callback, Widget};
use crate::display::display;
use crate::item_names;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

/// A widget that gives an argument.
pub trait Control: Clone + Send + 'static {
    /// The argument's type.
    type Value;
    /// The present value.
    fn argument(&self) -> Self::Value;
    /// Calls `code` when a person has changed it.
    fn on_input(&self, code: Box<dyn FnMut() + Send>) -> Callback;
    /// The widget.
    fn as_widget(&self) -> Widget;
    /// With these words beside it.
    fn named(self, name: &str) -> Self;
    /// Whether there are words beside it.
    fn is_named(&self) -> bool;
}

/// What stands for a control: a widget, `0..=10`, `0.0..=1.0`, `true`, `"text"`, or a list of texts; with a name before it, as
/// in `("width", 0..=10)`, that stands beside it.
pub trait IntoControl {
    /// The control.
    type Control: Control;
    /// Makes it.
    fn control(self) -> Self::Control;
}

macro_rules! controls {
    ($($type:ident: $value:ty, $read:expr;)*) => {
        $(
            impl Control for $type {
                type Value = $value;

                fn argument(&self) -> $value {
                    let read: fn(&$type) -> $value = $read;
                    read(self)
                }

                fn on_input(&self, mut code: Box<dyn FnMut() + Send>) -> Callback {
                    self.on_change(move |_| code())
                }

                fn as_widget(&self) -> Widget {
                    self.widget()
                }

                fn named(self, name: &str) -> $type {
                    self.description(name)
                }

                fn is_named(&self) -> bool {
                    self.model.get("description").is_some_and(|words: String| !words.is_empty())
                }
            }

            impl IntoControl for $type {
                type Control = $type;

                fn control(self) -> $type {
                    self
                }
            }
        )*
    };
}

controls! {
    IntSlider: i64, |control| control.value();
    FloatSlider: f64, |control| control.value();
    Checkbox: bool, |control| control.value();
    Text: String, |control| control.value();
    Dropdown: String, |control| control.value().unwrap_or_default();
}

impl IntoControl for RangeInclusive<i64> {
    type Control = IntSlider;

    fn control(self) -> IntSlider {
        // In the middle, as ipywidgets has it.
        let (min, max) = self.into_inner();
        IntSlider::new(min + (max - min) / 2).min(min).max(max)
    }
}

impl IntoControl for RangeInclusive<f64> {
    type Control = FloatSlider;

    fn control(self) -> FloatSlider {
        let (min, max) = self.into_inner();
        FloatSlider::new(min + (max - min) / 2.0).min(min).max(max).step((max - min) / 100.0)
    }
}

impl IntoControl for bool {
    type Control = Checkbox;

    fn control(self) -> Checkbox {
        Checkbox::new(self)
    }
}

impl IntoControl for &str {
    type Control = Text;

    fn control(self) -> Text {
        Text::new(self)
    }
}

impl<const N: usize> IntoControl for [&str; N] {
    type Control = Dropdown;

    fn control(self) -> Dropdown {
        Dropdown::new(self)
    }
}

impl IntoControl for Vec<String> {
    type Control = Dropdown;

    fn control(self) -> Dropdown {
        Dropdown::new(self)
    }
}

impl<C: IntoControl> IntoControl for (&str, C) {
    type Control = C::Control;

    fn control(self) -> C::Control {
        self.1.control().named(self.0)
    }
}

/// A function for [`interact`], and what stands for its arguments.
pub trait Interactive<A> {
    #[doc(hidden)]
    fn begin(self, arguments: A) -> VBox;
}

/// Shows a control for each argument of a function, and the function's value below; when a person changes a control, it is called
/// again. Of several changes while it runs, the newest counts. (ipywidgets' `interact`.)
///
/// The arguments are given as one tuple: see [`IntoControl`]. A control without a name has that of the function's parameter, if the
/// function is one of a cell or a closure that is written here. The function runs between cells, in the process of the cells; what it
/// prints and shows stands below the controls, too.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::widgets::interact;
///
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
/// interact(area, (0.0..=2.0, 0.0..=3.0));
/// interact(|n: i64, loud: bool| if loud { format!("{n}!") } else { n.to_string() }, (("number", 1..=9), true));
/// ```
pub fn interact<A, F: Interactive<A>>(function: F, arguments: A) {
    function.begin(arguments).show();
}

/// The control, with the name of the function's parameter if it has none.
fn with_name<C: Control>(control: C, parameter: Option<&&'static str>) -> C {
    match parameter {
        Some(name) if !name.is_empty() && !control.is_named() => control.named(name),
        _ => control,
    }
}

/// Shows the value of `call` in `output`, now and on each input.
fn follow(
    controls: Vec<Widget>,
    on_input: impl FnOnce(&dyn Fn() -> Box<dyn FnMut() + Send>),
    call: impl FnMut() + Send + 'static,
) -> VBox {
    let output = Output::new();
    let mut children = controls;
    children.push(output.widget());
    let shown = VBox::new(children);
    let call = Arc::new(Mutex::new(call));
    let again = move |is_first: bool| -> Box<dyn FnMut() + Send> {
        let (call, output) = (call.clone(), output.clone());
        Box::new(move || {
            if !is_first {
                output.clear_before_next();
            }
            output.capture(|| call.lock().unwrap_or_else(PoisonError::into_inner)());
        })
    };
    again(true)();
    on_input(&|| again(false));
    shown
}

macro_rules! interactive {
    ($($argument:ident $into:ident),+) => {
        impl<Fun, R: Debug + 'static, $($into: IntoControl),+> Interactive<($($into,)+)> for Fun
        where
            Fun: FnMut($(<$into::Control as Control>::Value),+) -> R + Send + 'static,
        {
            fn begin(mut self, ($($argument,)+): ($($into,)+)) -> VBox {
                let mut names = item_names::parameters(std::any::type_name::<Fun>()).iter();
                $(let $argument = with_name($argument.control(), names.next());)+
                let controls = vec![$($argument.as_widget()),+];
                let inputs = ($($argument.clone(),)+);
                let on_input = move |again: &dyn Fn() -> Box<dyn FnMut() + Send>| {
                    let ($($argument,)+) = &inputs;
                    $($argument.on_input(again());)+
                };
                follow(controls, on_input, move || {
                    let value = self($($argument.argument()),+);
                    if typeid::of::<R>() != typeid::of::<()>() {
                        display(&value);
                    }
                })
            }
        }
    };
}

interactive!(a A);
interactive!(a A, b B);
interactive!(a A, b B, c C);
interactive!(a A, b B, c C, d D);
interactive!(a A, b B, c C, d D, e E);
