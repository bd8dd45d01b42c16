//! The source text of the base library, besides the crates that it re-exports.

/// Has the base library compile what most cells would compile; see `mobula::__private::common`.
const COMMON: &str = "pub fn common() { mobula::__private::common() }\n";

/// Runs the future of a cell, or lets a cell without one start tasks, on one runtime for all cells. A twin that has taken over makes a new
/// runtime, because a fork copies no threads.
const BLOCK_ON: &str = "
type Runtime = (u32, &'static tokio::runtime::Runtime);

static RUNTIME: std::sync::Mutex<Option<Runtime>> = std::sync::Mutex::new(None);

fn runtime() -> &'static tokio::runtime::Runtime {
    let mut runtime = RUNTIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match *runtime {
        Some((pid, runtime)) if pid == std::process::id() => runtime,
        _ => {
            let made = builder().enable_all().build().expect(\"a runtime for async cells\");
            let made: &'static tokio::runtime::Runtime = Box::leak(Box::new(made));
            *runtime = Some((std::process::id(), made));
            made
        }
    }
}

";

/// The parts of it for Tokio 1 and 0.3.
const TOKIO: &str = "
fn builder() -> tokio::runtime::Builder {
    tokio::runtime::Builder::new_multi_thread()
}

pub fn block_on<F: std::future::Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

pub fn enter() -> tokio::runtime::EnterGuard<'static> {
    runtime().enter()
}
";

/// The parts of it for Tokio 0.2. That has no guard, so only a cell that awaits is within its runtime.
const TOKIO_0_2: &str = "
fn builder() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new();
    builder.threaded_scheduler();
    builder
}

pub fn block_on<F: std::future::Future>(future: F) -> F::Output {
    runtime().handle().block_on(future)
}
";

/// Draws the images of the crate `image`. A file of its own, left out where another version of that crate does not compile it.
const IMAGE: &str = "
use image::{DynamicImage, EncodableLayout, ImageBuffer, ImageFormat, Pixel, PixelWithColorType};
use mobula::__private::known::{Drawing, draw_with};
use std::io::Cursor;

#[used]
#[unsafe(link_section = \".init_array\")]
static WHEN_OPENED: extern \"C\" fn() = register;

extern \"C\" fn register() {
    // SAFETY: none of these types has a lifetime.
    unsafe {
    draw_with::<DynamicImage>(|image| drawn(image.width(), image.height(), |png| image.write_to(png, ImageFormat::Png).is_ok()));
    draw_with(buffer::<image::Luma<u8>>);
    draw_with(buffer::<image::LumaA<u8>>);
    draw_with(buffer::<image::Rgb<u8>>);
    draw_with(buffer::<image::Rgba<u8>>);
    draw_with(buffer::<image::Luma<u16>>);
    draw_with(buffer::<image::Rgb<u16>>);
    draw_with(buffer::<image::Rgba<u16>>);
    }
}

fn buffer<P: Pixel + PixelWithColorType>(image: &ImageBuffer<P, Vec<P::Subpixel>>) -> Option<Drawing>
where
    [P::Subpixel]: EncodableLayout,
{
    drawn(image.width(), image.height(), |png| image.write_to(png, ImageFormat::Png).is_ok())
}

fn drawn(width: u32, height: u32, write: impl FnOnce(&mut Cursor<Vec<u8>>) -> bool) -> Option<Drawing> {
    let mut png = Cursor::new(Vec::new());
    let text = format!(\"<image, {width} × {height} pixels>\");
    write(&mut png).then(|| vec![(\"image/png\", png.into_inner()), (\"text/plain\", text.into_bytes())])
}
";

/// Shows JSON as JSON, which front ends fold and unfold.
const JSON: &str = "
use mobula::__private::known::draw_with;
use serde_json::Value;

#[used]
#[unsafe(link_section = \".init_array\")]
static WHEN_OPENED: extern \"C\" fn() = register;

extern \"C\" fn register() {
    let draw: fn(&Value) -> _ = |value| {
        Some(vec![(\"application/json\", serde_json::to_vec(value).ok()?), (\"text/plain\", serde_json::to_vec_pretty(value).ok()?)])
    };
    // SAFETY: `Value` has no lifetime.
    unsafe { draw_with(draw) };
}
";

/// Reads polars' data frames for `describe`: their text has some of their rows only.
const POLARS: &str = "
use mobula::__private::known::{Each, Sample, read_with};
use polars::datatypes::DataType;
use polars::frame::DataFrame;

#[used]
#[unsafe(link_section = \".init_array\")]
static WHEN_OPENED: extern \"C\" fn() = register;

extern \"C\" fn register() {
    // SAFETY: `DataFrame` has no lifetime.
    unsafe { read_with(read) };
}

fn read(frame: &DataFrame, each: Each<'_>) -> Option<Vec<String>> {
    let names: Vec<String> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    for (number, name) in names.iter().enumerate() {
        let column = frame.column(name).ok()?.as_materialized_series().rechunk();
        if column.dtype().is_primitive_numeric() {
            let numbers = column.cast(&DataType::Float64).ok()?;
            numbers.f64().ok()?.iter().for_each(|value| each(number, value.map_or(Sample::Missing, Sample::Number)));
        } else {
            for value in column.iter() {
                if value.is_null() { each(number, Sample::Missing) } else { each(number, Sample::Text(&value.str_value())) }
            }
        }
    }
    Some(names)
}
";

/// The code that draws and reads values of a crate's types: the crate, the file, its source.
const DRAWINGS: [(&str, &str, &str); 3] = [
    ("image", "image_drawings.rs", IMAGE),
    ("serde_json", "serde_json_drawings.rs", JSON),
    ("polars", "polars_drawings.rs", POLARS),
];

/// Whether a compile error is in code that can be left out.
pub fn is_about_drawings(error: &str) -> bool {
    DRAWINGS.iter().any(|(_, file, _)| error.contains(file))
}

/// What cells can do with the Tokio among the session's crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokio {
    /// Await, and start tasks: 0.3, 1, and later versions.
    Whole,
    /// Only await: 0.2.
    Awaits,
}

/// The Tokio among these crates. An older one does not know the standard library's futures and is a crate like any other.
pub fn tokio(deps: &[(String, String)]) -> Option<Tokio> {
    let (_, wanted) = deps.iter().find(|(name, _)| name == "tokio")?;
    let is_of = |version: &str| ["", "=", "^", "~"].iter().any(|kind| wanted.contains(&format!("\"{kind}{version}")));
    if is_of("0.2") { Some(Tokio::Awaits) } else { (is_of("0.3") || !is_of("0.")).then_some(Tokio::Whole) }
}

/// The files of the base library with these crates: names and contents. `draws`: with the code that draws crates' types.
pub fn files(deps: &[(String, String)], draws: bool) -> Vec<(&'static str, String)> {
    let has = |name: &str| deps.iter().any(|(known, _)| known == name);
    // This puts the whole crate into the library, used here or not.
    let names = deps.iter().map(|(name, _)| name.replace('-', "_"));
    let mut root: String = names.map(|name| format!("pub extern crate {name};\n")).collect();
    root.push_str(COMMON);
    if let Some(tokio) = tokio(deps) {
        root.push_str(BLOCK_ON);
        root.push_str(if tokio == Tokio::Whole { TOKIO } else { TOKIO_0_2 });
    }
    let mut files = Vec::new();
    for (_, file, source) in DRAWINGS.iter().filter(|(name, ..)| draws && has(name)) {
        root.push_str(&format!("mod {};\n", file.trim_end_matches(".rs")));
        files.push((*file, (*source).to_owned()));
    }
    files.push(("lib.rs", root));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tokio_can_do_is_known_by_its_version() {
        let of = |wanted: &str| tokio(&[("tokio".to_owned(), wanted.to_owned())]);
        for wanted in ["\"1\"", "\"*\"", "{ version = \"1.40\", features = [\"full\"] }", "{ version = \"=0.3.7\" }"] {
            assert_eq!(of(wanted), Some(Tokio::Whole), "{wanted}");
        }
        assert_eq!((of("\"0.2\""), of("{ version = \"^0.2.25\" }")), (Some(Tokio::Awaits), Some(Tokio::Awaits)));
        assert_eq!((of("\"0.1\""), tokio(&[])), (None, None));
    }
}
