//! A table in HTML: one that can be read without styles and scripts, and sorted with them.
//!
//! A front end that removes the script and the style (a notebook that is not trusted, GitHub) still has a table with its
//! numbers right-aligned.

use super::grid::Grid;

/// Colours come from JupyterLab or VS Code; without them, a grey that can be read on white and on black. The class stands
/// twice where a rule of JupyterLab's has to give way.
const STYLE: &str = "<style>\
    table.mobula{border-collapse:collapse;font-variant-numeric:tabular-nums}\
    table.mobula.mobula th,table.mobula.mobula td{text-align:left;vertical-align:top;padding:.2em .7em;max-width:40em;\
    overflow-wrap:break-word}\
    table.mobula.mobula th[align=right],table.mobula.mobula td[align=right]{text-align:right;white-space:nowrap}\
    table.mobula thead{border-bottom:1px solid var(--jp-border-color1,#808080)}\
    table.mobula small{display:block;font-weight:normal;\
    color:var(--jp-content-font-color2,var(--vscode-descriptionForeground,#767676))}\
    table.mobula th[aria-sort=ascending]::after{content:\" ▲\"}\
    table.mobula th[aria-sort=descending]::after{content:\" ▼\"}\
    </style>";

/// Sorts by a column when its head is clicked: up, down, and as it was. One listener serves the tables of a page, also
/// those that come later.
const SCRIPT: &str = "<script>(d=>{\
    if(d.mobulaTables)return;d.mobulaTables=true;\
    const hand=d.createElement('style');hand.textContent='table.mobula thead th{cursor:pointer}';d.head.append(hand);\
    d.addEventListener('click',event=>{\
    const head=event.composedPath().find(node=>node.matches&&node.matches('table.mobula thead th'));\
    if(!head)return;\
    const body=head.closest('table').tBodies[0],rows=[...body.rows],at=head.cellIndex;\
    rows.forEach((row,place)=>row.place??=place);\
    const turn={ascending:'descending',descending:'none'}[head.getAttribute('aria-sort')]||'ascending';\
    const sign=turn=='descending'?-1:1,text=row=>row.cells[at].textContent;\
    const number=row=>parseFloat(text(row).replace('inf','Infinity'));\
    const byNumber=(a,b)=>isNaN(number(a))-isNaN(number(b))||sign*(number(a)-number(b));\
    const byText=(a,b)=>sign*text(a).localeCompare(text(b));\
    const order=turn=='none'?(a,b)=>a.place-b.place:head.align=='right'?byNumber:byText;\
    body.append(...rows.sort((a,b)=>order(a,b)||a.place-b.place));\
    for(const other of head.parentNode.cells)other.setAttribute('aria-sort',other==head?turn:'none')\
    })})(document)</script>";

/// The table, with its script if it has rows to sort.
pub(super) fn html(grid: &Grid) -> String {
    let align = |column: usize| if grid.columns[column].field.is_number() { " align=\"right\"" } else { "" };
    let heads = grid.columns.iter().enumerate().map(|(at, column)| {
        let type_name = match column.type_name.as_str() {
            "" => String::new(),
            name => format!("<small>{}</small>", escaped(name)),
        };
        format!("<th{}>{}{type_name}</th>", align(at), escaped(&column.name))
    });
    let row = |cells: &Vec<String>| {
        let cells = grid.shown_row(cells).enumerate();
        let cells = cells.map(|(at, cell)| format!("<td{}>{}</td>", align(at), escaped(&cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let below = grid.below().into_iter().map(|line| format!("<p>{}</p>", in_code(&escaped(&line))));
    let script = if grid.rows.len() > 1 { SCRIPT } else { "" };
    format!(
        "{STYLE}<table class=\"mobula\"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}{script}",
        heads.collect::<String>(),
        grid.rows.iter().map(row).collect::<String>(),
        below.collect::<String>()
    )
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A line with what stands between backquotes as code.
fn in_code(line: &str) -> String {
    match line.split('`').collect::<Vec<_>>()[..] {
        [before, code, after] => format!("{before}<code>{code}</code>{after}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Kind, Left, Limits};
    use super::*;

    fn grid(cells: [&str; 2]) -> Grid {
        let heads = vec![("a".into(), "&str".into()), ("n".into(), String::new())];
        let row = cells.map(str::to_owned).to_vec();
        Grid::new(heads, vec![row], Kind::List, Limits::USUAL)
    }

    fn between<'t>(text: &'t str, open: &str, close: &str) -> &'t str {
        text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).unwrap().0
    }

    #[test]
    fn numbers_are_right_aligned_and_types_stand_in_the_head() {
        let html = html(&grid(["\"<b>&\"", "12"]));
        assert_eq!(
            between(&html, "<table class=\"mobula\">", "</table>"),
            "<thead><tr><th>a<small>&amp;str</small></th><th align=\"right\">n</th></tr></thead>\
             <tbody><tr><td>&lt;b&gt;&amp;</td><td align=\"right\">12</td></tr></tbody>"
        );
    }

    #[test]
    fn what_is_left_stands_below_and_only_several_rows_are_sorted() {
        let mut grid = grid(["1", "2"]);
        assert!(html(&grid).ends_with("</table>"));
        grid.left = Left { rows: 5, can_be_shown: true, ..Left::default() };
        assert!(html(&grid).ends_with("<p>… 5 more rows; <code>show::table(&amp;…).all()</code> shows all</p>"));
        grid.rows.push(vec!["3".into(), "4".into()]);
        assert!(html(&grid).ends_with("</script>"));
    }
}
