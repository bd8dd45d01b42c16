//! A plot as Vega-Lite, version 5 (vega.github.io/vega-lite): JupyterLab and VS Code draw it.

use super::colours::{GRID_OPACITY, INK, of_series};
use super::content::{Content, Mark, Series, word};
use crate::calls::Json;

/// Words below a bar or a field that are not turned; those for which there is no room are left out.
const UPRIGHT: &str = "\"axis\":{\"labelAngle\":0,\"labelOverlap\":true}";

const SCHEMA: &str = "https://vega.github.io/schema/vega-lite/v5.json";

/// The specification, one line of JSON.
pub(super) fn spec(plot: &Content) -> String {
    let title = if plot.title.is_empty() { String::new() } else { format!("\"title\":{},", Json(&plot.title)) };
    let names = names(plot);
    let series = plot.series.iter().zip(of_series()).map(|(series, colour)| layer(plot, series, colour, &names));
    let layers: Vec<String> = series.chain(heat(plot)).collect();
    format!(
        "{{\"$schema\":\"{SCHEMA}\",{title}\"background\":\"transparent\",\"width\":480,\"height\":300,\"layer\":[{}],\
         \"resolve\":{{\"scale\":{{\"color\":\"shared\"}}}},\"config\":{}}}",
        layers.join(","),
        config()
    )
}

/// Colours of words and lines; without them, Vega's are for a white page.
fn config() -> String {
    let words = format!("\"labelColor\":\"{INK}\",\"titleColor\":\"{INK}\"");
    let lines = format!("\"domainColor\":\"{INK}\",\"tickColor\":\"{INK}\",\"gridColor\":\"{INK}\"");
    format!(
        "{{\"axis\":{{{words},{lines},\"gridOpacity\":{GRID_OPACITY}}},\"legend\":{{{words}}},\"title\":{{\"color\":\"{INK}\"}},\
         \"view\":{{\"stroke\":null}}}}"
    )
}

/// The scale that gives each named series the colour that it has in the SVG twin, too.
fn names(plot: &Content) -> String {
    let named = || plot.series.iter().zip(of_series()).filter(|(series, _)| !series.name.is_empty());
    let names: Vec<String> = named().map(|(series, _)| Json(&series.name).to_string()).collect();
    let colours: Vec<String> = named().map(|(_, colour)| format!("\"{colour}\"")).collect();
    format!("{{\"domain\":[{}],\"range\":[{}]}}", names.join(","), colours.join(","))
}

fn layer(plot: &Content, series: &Series, colour: &str, names: &str) -> String {
    let Series { name, mark, x, y } = series;
    let points = x.iter().zip(y);
    let (values, mark, x_encoding, beside): (Vec<String>, &str, String, String) = match mark {
        Mark::Bars(words) => (
            points.map(|(place, y)| format!("{{\"x\":{},\"y\":{y}}}", Json(word(words, *place)))).collect(),
            "\"bar\"",
            encoding("x", "nominal", &plot.x_label, &format!(",\"sort\":null,{UPRIGHT}")),
            String::new(),
        ),
        Mark::Bins(width) => (
            points.map(|(x, y)| format!("{{\"x\":{x},\"x2\":{},\"y\":{y}}}", x + width)).collect(),
            "\"bar\"",
            encoding("x", "quantitative", &plot.x_label, ",\"bin\":\"binned\""),
            ",\"x2\":{\"field\":\"x2\"}".into(),
        ),
        Mark::Line => (
            points.map(|(x, y)| format!("{{\"x\":{x},\"y\":{y}}}")).collect(),
            // In the order of the data, not of x.
            "{\"type\":\"line\",\"tooltip\":true}",
            encoding("x", "quantitative", &plot.x_label, ",\"scale\":{\"zero\":false}"),
            ",\"order\":null".into(),
        ),
        Mark::Points => (
            points.map(|(x, y)| format!("{{\"x\":{x},\"y\":{y}}}")).collect(),
            "{\"type\":\"point\",\"filled\":true,\"tooltip\":true}",
            encoding("x", "quantitative", &plot.x_label, ",\"scale\":{\"zero\":false}"),
            String::new(),
        ),
    };
    let colour = match name.as_str() {
        "" => format!(",\"color\":{{\"value\":\"{colour}\"}}"),
        name => format!(",\"color\":{{\"datum\":{},\"scale\":{names}}}", Json(name)),
    };
    let y_encoding = encoding("y", "quantitative", &plot.y_label, "");
    format!(
        "{{\"data\":{{\"values\":[{}]}},\"mark\":{mark},\"encoding\":{{{x_encoding},{y_encoding}{beside}{colour}}}}}",
        values.join(",")
    )
}

fn heat(plot: &Content) -> Option<String> {
    if plot.heat.is_empty() {
        return None;
    }
    let fields = plot.heat.iter().enumerate().flat_map(|(y, row)| row.iter().enumerate().map(move |(x, v)| (x, y, v)));
    let values: Vec<String> = fields
        .filter(|(.., value)| value.is_finite())
        .map(|(x, y, value)| format!("{{\"x\":{x},\"y\":{y},\"v\":{value}}}"))
        .collect();
    let x = encoding("x", "ordinal", &plot.x_label, &format!(",{UPRIGHT}"));
    let y = encoding("y", "ordinal", &plot.y_label, "");
    Some(format!(
        "{{\"data\":{{\"values\":[{}]}},\"mark\":{{\"type\":\"rect\",\"tooltip\":true}},\
         \"encoding\":{{{x},{y},\"color\":{{\"field\":\"v\",\"type\":\"quantitative\",\"title\":null}}}}}}",
        values.join(",")
    ))
}

fn encoding(axis: &str, kind: &str, label: &str, more: &str) -> String {
    let title = if label.is_empty() { "null".into() } else { Json(label).to_string() };
    format!("\"{axis}\":{{\"field\":\"{axis}\",\"type\":\"{kind}\",\"title\":{title}{more}}}")
}
