//! Links: two widgets that have the same value, kept so by the front end.

use super::model::{Classes, Model, controls};

/// A widget whose value can be linked to that of another one.
pub trait Linkable {
    /// The type of its value.
    type Value;

    #[doc(hidden)]
    fn end(&self) -> End;
}

/// One end of a link.
#[derive(Clone, Debug)]
pub struct End(String, &'static str);

impl End {
    pub(super) fn of(model: &Model, key: &'static str) -> End {
        End(model.reference(), key)
    }
}

/// A link of two widgets. Dropping this keeps the link.
#[derive(Debug)]
pub struct Link {
    model: Model,
}

const LINK: Classes = controls("Link", "LinkModel", "");

/// Keeps two widgets at the same value, whichever of them is changed. The front end does it, also while a cell runs.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::widgets::{IntProgress, IntSlider, link};
/// let (slider, bar) = (IntSlider::new(5), IntProgress::new(0));
/// link(&slider, &bar);
/// ```
pub fn link<A: Linkable, B: Linkable<Value = A::Value>>(source: &A, target: &B) -> Link {
    let model = Model::new(LINK);
    for (key, End(widget, of)) in [("source", source.end()), ("target", target.end())] {
        model.set(key, [widget.as_str(), of]);
    }
    model.open();
    Link { model }
}

impl Link {
    /// Ends the link.
    pub fn unlink(self) {
        self.model.close();
    }
}
