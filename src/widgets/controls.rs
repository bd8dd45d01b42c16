//! Controls and displays of one value.

use super::date::Date;
use super::model::{Model, controls};
use super::widget::{has_value, is_widget, options};
use crate::comm::Callback;
use crate::json::JsonValue;

/// Defines a widget's type.
macro_rules! widgets {
    ($($(#[$doc:meta])* $type:ident = $name:literal, $model:literal, $view:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq)]
            pub struct $type {
                pub(super) model: Model,
            }

            is_widget!($type, controls($name, $model, $view));

            impl $type {
                /// The words beside it.
                pub fn description(self, text: &str) -> $type {
                    self.model.set("description", text);
                    self
                }

                /// The words that a person sees who points at it.
                pub fn tooltip(self, text: &str) -> $type {
                    self.model.set("tooltip", text);
                    self
                }

                /// Whether it cannot be changed by a person.
                pub fn disabled(self, is_disabled: bool) -> $type {
                    self.model.set("disabled", is_disabled);
                    self
                }

                /// Sets whether it cannot be changed by a person, while it is shown.
                pub fn set_disabled(&self, is_disabled: bool) {
                    self.model.set("disabled", is_disabled);
                }

                /// Sets the words beside it, while it is shown.
                pub fn set_description(&self, text: &str) {
                    self.model.set("description", text);
                }
            }
        )*
    };
}

widgets! {
    /// A slider of whole numbers, from 0 to 100 unless it is told otherwise.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::IntSlider;
    /// let n = IntSlider::new(3).min(1).max(9).description("n");
    /// n.on_change(|n| println!("{n} squared is {}", n * n));
    /// assert_eq!(n.value(), 3);
    /// ```
    IntSlider = "IntSlider", "IntSliderModel", "IntSliderView";
    /// A slider of numbers, from 0 to 10 unless it is told otherwise.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::FloatSlider;
    /// assert_eq!(FloatSlider::new(0.5).max(1.0).step(0.01).value(), 0.5);
    /// ```
    FloatSlider = "FloatSlider", "FloatSliderModel", "FloatSliderView";
    /// A bar of progress in whole numbers, from 0 to 100 unless it is told otherwise.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::IntProgress;
    /// let bar = IntProgress::new(0).max(3).description("files");
    /// for n in 1..=3 {
    ///     bar.set_value(n);
    /// }
    /// assert_eq!(bar.value(), 3);
    /// ```
    IntProgress = "IntProgress", "IntProgressModel", "ProgressView";
    /// A bar of progress, from 0 to 100 unless it is told otherwise.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// mobula::widgets::FloatProgress::new(0.2).max(1.0).bar_style("success").show();
    /// ```
    FloatProgress = "FloatProgress", "FloatProgressModel", "ProgressView";
    /// A box to tick.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// assert!(mobula::widgets::Checkbox::new(true).description("loud").value());
    /// ```
    Checkbox = "Checkbox", "CheckboxModel", "CheckboxView";
    /// A button that stays pressed.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// assert!(!mobula::widgets::ToggleButton::new(false).description("more").value());
    /// ```
    ToggleButton = "ToggleButton", "ToggleButtonModel", "ToggleButtonView";
    /// A line of text to edit.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// let name = mobula::widgets::Text::new("Ada").placeholder("a name");
    /// assert_eq!(name.value(), "Ada");
    /// ```
    Text = "Text", "TextModel", "TextView";
    /// Lines of text to edit.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// assert_eq!(mobula::widgets::Textarea::new("one\ntwo").rows(4).value().lines().count(), 2);
    /// ```
    Textarea = "Textarea", "TextareaModel", "TextareaView";
    /// HTML that can be replaced.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// let state = mobula::widgets::HTML::new("<b>waiting</b>");
    /// state.set_value("<i>done</i>");
    /// ```
    HTML = "HTML", "HTMLModel", "HTMLView";
    /// A line of text that can be replaced; LaTeX between dollar signs.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// mobula::widgets::Label::new(r"the sum is $n(n+1)/2$").show();
    /// ```
    Label = "Label", "LabelModel", "LabelView";
    /// A button.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::Button;
    /// let go = Button::new("Go").icon("play").button_style("primary");
    /// go.on_click(|| println!("it goes"));
    /// ```
    Button = "Button", "ButtonModel", "ButtonView";
    /// A choice among texts.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::Dropdown;
    /// let colour = Dropdown::new(["red", "green", "blue"]);
    /// colour.set_value("green")?;
    /// assert_eq!((colour.value().as_deref(), colour.index()), (Some("green"), Some(1)));
    /// assert!(colour.set_value("pink").is_err());
    /// # Ok::<(), String>(())
    /// ```
    Dropdown = "Dropdown", "DropdownModel", "DropdownView";
    /// A choice of a day.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::{Date, DatePicker};
    /// let day = DatePicker::new(Date::new(2026, 11, 30));
    /// assert_eq!(day.value().map(|day| day.to_string()).as_deref(), Some("2026-11-30"));
    /// ```
    DatePicker = "DatePicker", "DatePickerModel", "DatePickerView";
    /// A picture that can be replaced: the bytes of a PNG, JPEG, GIF or SVG file.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::widgets::Image;
    /// let picture = Image::new("<svg xmlns='http://www.w3.org/2000/svg'/>").format("svg+xml");
    /// assert!(picture.value().starts_with(b"<svg"));
    /// ```
    Image = "Image", "ImageModel", "ImageView";
}

has_value!(IntSlider, i64, i64, set_within);
has_value!(FloatSlider, f64, f64, set_within);
has_value!(IntProgress, i64, i64, set_within);
has_value!(FloatProgress, f64, f64, set_within);
has_value!(Checkbox, bool, bool);
has_value!(ToggleButton, bool, bool);
has_value!(Text, String, &str);
has_value!(Textarea, String, &str);
has_value!(HTML, String, &str);
has_value!(Label, String, &str);
has_value!(DatePicker, Option<Date>, Option<Date>);

/// Widgets of a number between two others. A value beyond them is the nearest one within, as in ipywidgets, also when they change.
macro_rules! bounded {
    ($($type:ident of $number:ty: $least:literal to $greatest:literal),* $(,)?) => {
        $(
            impl $type {
                /// With this value.
                pub fn new(value: $number) -> $type {
                    let widget = $type::made();
                    widget.model.set("value", value);
                    widget.model.set("min", $least.min(value));
                    widget.model.set("max", $greatest.max(value));
                    widget
                }
            }

            options!($type {
                /// `"horizontal"` or `"vertical"`.
                orientation: &str = "orientation",
            });

            impl $type {
                /// The least value.
                pub fn min(self, min: $number) -> $type {
                    self.model.set_within("min", min);
                    self
                }

                /// The greatest value.
                pub fn max(self, max: $number) -> $type {
                    self.model.set_within("max", max);
                    self
                }

                /// Sets the least value, while it is shown.
                pub fn set_min(&self, min: $number) {
                    self.model.set_within("min", min);
                }

                /// Sets the greatest value, while it is shown.
                pub fn set_max(&self, max: $number) {
                    self.model.set_within("max", max);
                }
            }
        )*
    };
}

bounded!(IntSlider of i64: 0i64 to 100i64, IntProgress of i64: 0i64 to 100i64);
bounded!(FloatSlider of f64: 0f64 to 10f64, FloatProgress of f64: 0f64 to 100f64);

options!(IntSlider {
    /// The distance between two values.
    step: i64 = "step",
    /// Whether the value stands beside it.
    readout: bool = "readout",
    /// Whether values are sent while a person drags it, and not only at the end.
    continuous_update: bool = "continuous_update",
});
options!(FloatSlider {
    /// The distance between two values.
    step: f64 = "step",
    /// Whether the value stands beside it.
    readout: bool = "readout",
    /// How the value is written, as d3-format has it, such as `".2f"`.
    readout_format: &str = "readout_format",
    /// Whether values are sent while a person drags it, and not only at the end.
    continuous_update: bool = "continuous_update",
});
options!(IntProgress {
    /// `"success"`, `"info"`, `"warning"`, `"danger"` or nothing.
    bar_style: &str = "bar_style",
});
options!(FloatProgress {
    /// `"success"`, `"info"`, `"warning"`, `"danger"` or nothing.
    bar_style: &str = "bar_style",
});
options!(Checkbox {
    /// Whether it stands as far to the right as widgets with words beside them.
    indent: bool = "indent",
});
options!(ToggleButton {
    /// A symbol of Font Awesome, such as `"check"`.
    icon: &str = "icon",
    /// `"primary"`, `"success"`, `"info"`, `"warning"`, `"danger"` or nothing.
    button_style: &str = "button_style",
});
options!(Text {
    /// The words in it while it is empty.
    placeholder: &str = "placeholder",
    /// Whether each key is sent, and not only the end of the line.
    continuous_update: bool = "continuous_update",
});
options!(Textarea {
    /// The words in it while it is empty.
    placeholder: &str = "placeholder",
    /// How many lines it shows.
    rows: u32 = "rows",
    /// Whether each key is sent, and not only when a person leaves it.
    continuous_update: bool = "continuous_update",
});
options!(Button {
    /// A symbol of Font Awesome, such as `"play"`.
    icon: &str = "icon",
    /// `"primary"`, `"success"`, `"info"`, `"warning"`, `"danger"` or nothing.
    button_style: &str = "button_style",
});
options!(Image {
    /// `"png"`, which it is unless it is told otherwise, `"jpeg"`, `"gif"` or `"svg+xml"`.
    format: &str = "format",
});

impl IntProgress {
    /// Sets its colour by what it means, while it is shown: see [`IntProgress::bar_style`].
    pub fn set_bar_style(&self, style: &str) {
        self.model.set("bar_style", style);
    }
}

impl FloatProgress {
    /// Sets its colour by what it means, while it is shown: see [`FloatProgress::bar_style`].
    pub fn set_bar_style(&self, style: &str) {
        self.model.set("bar_style", style);
    }
}

/// Widgets that are made with their value alone.
macro_rules! made_with {
    ($($type:ident of $value:ty),* $(,)?) => {
        $(
            impl $type {
                /// With this value.
                pub fn new(value: $value) -> $type {
                    let widget = $type::made();
                    widget.model.set("value", value);
                    widget
                }
            }
        )*
    };
}

made_with!(Checkbox of bool, ToggleButton of bool, Text of &str, Textarea of &str, HTML of &str, Label of &str);

impl DatePicker {
    /// With this day, or none.
    pub fn new(day: impl Into<Option<Date>>) -> DatePicker {
        let widget = DatePicker::made();
        widget.model.set("value", day.into());
        widget
    }
}

impl Button {
    /// With these words on it.
    pub fn new(words: &str) -> Button {
        Button::made().description(words)
    }

    /// Calls `code` each time that a person clicks.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_click(&self, mut code: impl FnMut() + Send + 'static) -> Callback {
        self.model.on_custom(move |content, _| {
            if content.get("event").and_then(JsonValue::as_str) == Some("click") {
                code();
            }
        })
    }
}

impl Dropdown {
    /// With these choices, of which the first is chosen.
    pub fn new<T: Into<String>>(options: impl IntoIterator<Item = T>) -> Dropdown {
        let widget = Dropdown::made();
        let options: Vec<String> = options.into_iter().map(Into::into).collect();
        widget.model.set("index", (!options.is_empty()).then_some(0));
        widget.model.set("_options_labels", options);
        widget
    }

    /// The choices.
    pub fn options(&self) -> Vec<String> {
        self.model.get("_options_labels").unwrap_or_default()
    }

    /// Which one is chosen.
    pub fn index(&self) -> Option<usize> {
        self.model.get("index")
    }

    /// The choice.
    pub fn value(&self) -> Option<String> {
        let options = self.options();
        options.into_iter().nth(self.index()?)
    }

    /// Chooses.
    ///
    /// # Errors
    /// There is no such choice: a sentence that names those that there are.
    pub fn set_value(&self, choice: &str) -> Result<(), String> {
        let options = self.options();
        let index = options.iter().position(|option| option == choice);
        let index = index.ok_or_else(|| format!("{choice:?} is none of the choices: {}", options.join(", ")))?;
        self.model.set("index", index);
        Ok(())
    }

    /// Calls `code` with each choice of a person.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_change(&self, mut code: impl FnMut(String) + Send + 'static) -> Callback {
        let options = self.options();
        self.model.on_change("index", move |index: Option<usize>| {
            if let Some(choice) = index.and_then(|index| options.get(index)) {
                code(choice.clone());
            }
        })
    }
}

impl Image {
    /// With the bytes of a picture's file.
    pub fn new(bytes: impl AsRef<[u8]>) -> Image {
        let widget = Image::made();
        widget.set_value(bytes);
        widget
    }

    /// The bytes of the picture's file.
    pub fn value(&self) -> Vec<u8> {
        self.model.get_bytes("value")
    }

    /// Replaces the picture.
    pub fn set_value(&self, bytes: impl AsRef<[u8]>) {
        self.model.set_bytes("value", bytes.as_ref().to_vec());
    }
}
