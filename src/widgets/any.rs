//! Widgets in JavaScript of one's own, by the package anywidget ("Anywidget front-end module", anywidget.dev).

use super::model::{Classes, Model};
use crate::comm::{Callback, CommError};
use crate::json::{JsonMap, JsonValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

const CLASSES: Classes =
    Classes { name: "AnyWidget", model: "AnyModel", view: "AnyView", module: "anywidget", version: "*" };

/// A widget that an ES module draws: `export default { render({ model, el }) { … } }`. Its state is a struct `T`, whose
/// fields the module reads and sets by `model.get("field")` and `model.set("field", …)`.
///
/// A front end shows it where the package `anywidget` is installed.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::widgets::AnyWidget;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Clicks {
///     count: u32,
/// }
///
/// let esm = r#"
///     export default {
///         render({ model, el }) {
///             const button = document.createElement("button");
///             const write = () => (button.textContent = `clicked ${model.get("count")} times`);
///             button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
///             model.on("change:count", write);
///             write();
///             el.append(button);
///         }
///     };
/// "#;
/// let clicks = AnyWidget::new(esm, &Clicks { count: 0 })?;
/// clicks.set_state(&Clicks { count: 3 })?;
/// assert_eq!(clicks.state()?, Clicks { count: 3 });
/// # Ok::<(), mobula::comm::CommError>(())
/// ```
pub struct AnyWidget<T> {
    model: Model,
    state: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + 'static> AnyWidget<T> {
    /// With the text of an ES module, or the address of one, and a state.
    ///
    /// # Errors
    /// The state is no struct or map of JSON.
    pub fn new(esm: &str, state: &T) -> Result<AnyWidget<T>, CommError> {
        let widget = AnyWidget { model: Model::new(CLASSES), state: PhantomData };
        crate::display::known::draw_widget::<AnyWidget<T>>(|widget| widget.model.view());
        widget.model.set("_esm", esm);
        widget.model.set("_anywidget_id", std::any::type_name::<T>());
        widget.set_state(state)?;
        Ok(widget)
    }

    /// With a style sheet.
    pub fn css(self, css: &str) -> AnyWidget<T> {
        self.model.set("_css", css);
        self
    }

    /// The state, as it is in the front end.
    ///
    /// # Errors
    /// The module has set a field to a value of another type.
    pub fn state(&self) -> Result<T, CommError> {
        let state = JsonValue::Map(self.model.get_all());
        state.to().map_err(|error| CommError::Data { message: error.to_string() })
    }

    /// Sets the state, wherever the widget is shown.
    ///
    /// # Errors
    /// The state is no struct or map of JSON.
    pub fn set_state(&self, state: &T) -> Result<(), CommError> {
        self.model.set_all(fields(state)?);
        Ok(())
    }

    /// Calls `code` with the state each time that the module has changed it and saved that.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_change(&self, mut code: impl FnMut(T) + Send + 'static) -> Callback {
        let this = AnyWidget::<T> { model: self.model.clone(), state: PhantomData };
        self.model.on_update(move || {
            if let Ok(state) = this.state() {
                code(state);
            }
        })
    }

    /// Sends a message to the module, which gets it by `model.on("msg:custom", (message, buffers) => …)`.
    ///
    /// # Errors
    /// JSON cannot write the message.
    pub fn send<M: Serialize + ?Sized>(&self, message: &M, buffers: Vec<Vec<u8>>) -> Result<(), CommError> {
        let content = JsonValue::of(message).map_err(|error| CommError::Data { message: error.to_string() })?;
        self.model.send(&content, buffers);
        Ok(())
    }

    /// Calls `code` with each message that the module sends by `model.send(message, undefined, buffers)` and that is an `M`.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_message<M: DeserializeOwned>(&self, mut code: impl FnMut(M, &[Vec<u8>]) + Send + 'static) -> Callback {
        self.model.on_custom(move |content, buffers| {
            if let Ok(message) = content.to() {
                code(message, buffers);
            }
        })
    }

    /// This widget as one of any kind, for a box.
    pub fn widget(&self) -> super::Widget {
        super::Widget::of(&self.model)
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

fn fields<T: Serialize>(state: &T) -> Result<JsonMap, CommError> {
    match JsonValue::of(state) {
        Ok(JsonValue::Map(fields)) => Ok(fields),
        Ok(other) => Err(CommError::Data { message: format!("a state is a struct or a map, and not {other}") }),
        Err(error) => Err(CommError::Data { message: error.to_string() }),
    }
}

impl<T> Clone for AnyWidget<T> {
    fn clone(&self) -> AnyWidget<T> {
        AnyWidget { model: self.model.clone(), state: PhantomData }
    }
}

impl<T> fmt::Debug for AnyWidget<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyWidget<{}>", crate::abi::shorten(std::any::type_name::<T>()))
    }
}
