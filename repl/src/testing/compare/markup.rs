//! HTML and SVG, compared by their parts: a table of which one number differs shows that number.

use super::super::rules::Rules;
use regex::{Captures, Regex};
use std::sync::LazyLock;

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-?\d+\.\d+").ok());

/// One tag or one piece of text a line. Space between them does not count, nor do decimals behind the second of numbers
/// in tags: that of a picture's coordinates.
pub fn lines(markup: &str, rules: &Rules) -> String {
    let mut lines = String::new();
    let mut rest = markup;
    while !rest.is_empty() {
        let (part, is_tag) = match rest.find(['<', '>']) {
            Some(0) if rest.starts_with('<') => (rest.find('>').map_or(rest, |end| &rest[..=end]), true),
            Some(0) => (&rest[..1], false),
            Some(at) => (&rest[..at], false),
            None => (rest, false),
        };
        rest = &rest[part.len()..];
        // What a table is sorted and styled by may change; it shows nothing.
        if let Some(hidden) = ["script", "style"].iter().find(|hidden| is_tag && part[1..].starts_with(**hidden)) {
            let end = format!("</{hidden}>");
            rest = rest.find(&end).map_or("", |at| &rest[at + end.len()..]);
            continue;
        }
        let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
        if !words.is_empty() {
            lines.push_str(&if is_tag { rounded(&words) } else { words });
            lines.push('\n');
        }
    }
    rules.apply(&lines)
}

fn rounded(tag: &str) -> String {
    let round = |number: &Captures<'_>| match number[0].parse::<f64>() {
        Ok(number) => format!("{number:.2}"),
        Err(_) => number[0].to_owned(),
    };
    NUMBER.as_ref().map_or_else(|| tag.to_owned(), |pattern| pattern.replace_all(tag, round).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_between_parts_and_far_decimals_do_not_count() {
        let rules = Rules::default();
        let one = lines("<table><tr><td>1 </td>\n  <td>two  words</td></tr></table>", &rules);
        assert_eq!(one, "<table>\n<tr>\n<td>\n1\n</td>\n<td>\ntwo words\n</td>\n</tr>\n</table>\n");
        assert_eq!(lines("<path d=\"M1.23456 7\"/>", &rules), lines("<path d=\"M1.2301 7\"/>", &rules));
        assert_ne!(lines("<td>1.23456</td>", &rules), lines("<td>1.2301</td>", &rules));
        assert_eq!(lines("a > b <", &rules), "a\n>\nb\n<\n");
        assert_eq!(lines("<style>a{}</style><b>1</b><script>if(a<b)c()</script>", &rules), "<b>\n1\n</b>\n");
    }
}
