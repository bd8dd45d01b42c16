//! Parameters of a notebook: other values for the variables of one of its cells.

use super::commands::apart;
use super::edit::Edit;
use super::parse::lets_with_values;

/// Gives variables of a cell other values: name and expression each. The names are those of the cell's own `let`s.
///
/// # Errors
/// A sentence: the cell is no Rust, has no such variable, or a value is no expression.
///
/// ```
/// use mobula_session::parameters::with_values;
/// let cell = "let n: u32 = 3; // how many\nlet name = \"a\";";
/// assert_eq!(with_values(cell, &[("n".into(), "5".into())])?, "let n: u32 = 5; // how many\nlet name = \"a\";");
/// assert!(with_values(cell, &[("m".into(), "5".into())]).unwrap_err().contains("`n`, `name`"));
/// # Ok::<(), String>(())
/// ```
pub fn with_values(code: &str, values: &[(String, String)]) -> Result<String, String> {
    let (commands, rest) = apart(code);
    let known = lets_with_values(&rest).ok_or("the cell tagged `parameters` is no Rust that can be read")?;
    let mut edits = Vec::new();
    for (number, (name, value)) in values.iter().enumerate() {
        if values[..number].iter().any(|(other, _)| other == name) {
            return Err(format!("the parameter `{name}` is given twice"));
        }
        if value.is_empty() {
            return Err(format!("the parameter `{name}` has no value; an empty text is `\"\"`"));
        }
        if syn::parse_str::<syn::Expr>(value).is_err() {
            return Err(format!("the value of `{name}` is no Rust expression: {value}; a text needs its quotes"));
        }
        // A name that is there twice means its last value.
        let Some((_, range)) = known.iter().rfind(|(known, _)| known == name) else {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(format!("there is no parameter `{name}`; the cell tagged `parameters` has {names}"));
        };
        edits.push(Edit { range: range.clone(), text: value.clone().into() });
    }
    edits.sort_by_key(|edit| edit.range.start);
    let mut text = rest;
    edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), &edit.text));
    Ok(commands.iter().map(|command| format!("{command}\n")).collect::<String>() + &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(code: &str, values: &[(&str, &str)]) -> Result<String, String> {
        let values: Vec<_> = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        with_values(code, &values)
    }

    #[test]
    fn values_are_put_in_the_place_of_those_in_the_cell() {
        let code = ":dep rand\nlet mut n = 1;\nlet names: Vec<&str> = vec![\"a\"];\nn += 1;";
        let given = with(code, &[("names", "vec![]"), ("n", "40 + 2")]).unwrap();
        assert_eq!(given, ":dep rand\n\nlet mut n = 40 + 2;\nlet names: Vec<&str> = vec![];\nn += 1;");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_name() {
        assert!(with("let n = 1;", &[("n", "a b")]).unwrap_err().contains("`n` is no Rust expression: a b"));
        assert!(with("let (a, b) = (1, 2);", &[("a", "3")]).unwrap_err().contains("`parameters` has none"));
        assert!(with("let n =", &[("n", "3")]).unwrap_err().contains("no Rust that can be read"));
    }
}
