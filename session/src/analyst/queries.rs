//! The file that is typed in, and questions about it.

use super::library;
use ra_ap_hir::import_map::AssocSearchMode;
use ra_ap_hir::{ChangeWithProcMacros, PrefixKind};
use ra_ap_ide::{
    AnalysisHost, CompletionConfig, CompletionFieldsToResolve, CompletionItem, CompletionItemKind, FilePosition,
    FileRange, HoverConfig, HoverDocFormat, NavigationTarget, Query, RaFixtureConfig, SubstTyLen,
};
use ra_ap_ide_db::imports::insert_use::{ImportGranularity, InsertUseConfig};
use ra_ap_ide_db::{SnippetCap, SymbolKind};
use ra_ap_syntax::{TextRange, TextSize};
use ra_ap_vfs::FileId;
use std::path::Path;

/// How many items of one name are looked at to find the one that is meant.
const ELSEWHERE_MAX: usize = 64;

/// rust-analyzer, with one file that changes.
pub struct Typed {
    host: AnalysisHost,
    file: FileId,
    text: String,
}

/// The completions at a place.
pub struct Candidates {
    /// The bytes of the text that they replace.
    pub place: (usize, usize),
    /// Text, kind, label.
    pub items: Vec<(String, String, String)>,
}

impl Typed {
    /// Reads the Cargo project in `dir`, with the standard library of the toolchain in `sysroot`.
    ///
    /// # Errors
    /// Cargo's message.
    pub fn open(dir: &Path, sysroot: &Path) -> Result<Typed, String> {
        let (change, file) = library::load(dir, sysroot)?;
        let mut host = AnalysisHost::default();
        host.apply_change(change);
        Ok(Typed { host, file, text: String::new() })
    }

    /// Sets the file's text.
    pub fn set(&mut self, text: String) {
        let mut change = ChangeWithProcMacros::default();
        change.change_file(self.file, Some(text.clone()));
        self.host.apply_change(change);
        self.text = text;
    }

    /// The completions at byte `cursor`: names that begin with what is typed there.
    pub fn complete(&self, cursor: usize) -> Option<Candidates> {
        let position = FilePosition { file_id: self.file, offset: TextSize::try_from(cursor).ok()? };
        let found = self.host.analysis().completions(&completion(), position, None).ok()??;
        let names = self.names(&found, position);
        if !names.items.is_empty() {
            return Some(names);
        }
        // Nothing in scope fits: a name that is elsewhere, or a word behind a value, such as `.dbg`.
        let found = self.host.analysis().completions(&completion_elsewhere(), position, None).ok()??;
        let elsewhere = self.names_elsewhere(&found, position);
        Some(if elsewhere.items.is_empty() { self.postfix(&found, position).unwrap_or(names) } else { elsewhere })
    }

    fn names(&self, found: &[CompletionItem], position: FilePosition) -> Candidates {
        let place = found.first().map(|item| item.source_range);
        let place = place.unwrap_or_else(|| TextRange::empty(position.offset));
        let typed = &self.text[place];
        // A candidate that also changes the text elsewhere cannot be offered: a front end inserts one piece.
        let fits = |item: &&CompletionItem| item.source_range == place && item.lookup().starts_with(typed);
        let mut items: Vec<&CompletionItem> = found.iter().filter(fits).collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.relevance.score()));
        let items = items.into_iter().filter_map(|item| {
            let mut edits = item.text_edit.iter();
            let edit = edits.next().filter(|edit| edit.delete == place)?;
            edits.next().is_none().then(|| (edit.insert.clone(), kind(item.kind).to_owned(), label(item)))
        });
        Candidates { place: (place.start().into(), place.end().into()), items: items.collect() }
    }

    /// Names that are not in scope, by their paths: a front end inserts one piece, so no `use` can be added.
    fn names_elsewhere(&self, found: &[CompletionItem], position: FilePosition) -> Candidates {
        let place = found.first().map_or_else(|| TextRange::empty(position.offset), |item| item.source_range);
        let typed = &self.text[place];
        let mut items = Vec::new();
        for item in found.iter().filter(|item| item.source_range == place && item.lookup().starts_with(typed)) {
            let Some(import) = item.import_to_add.first() else { continue };
            // A method needs its trait, and a path cannot bring that.
            let is_name = import.path.rsplit("::").next() == Some(item.lookup());
            let candidate =
                (import.path.clone(), kind(item.kind).to_owned(), format!("{} (of {})", item.lookup(), import.path));
            if is_name && !typed.is_empty() && !items.contains(&candidate) {
                items.push(candidate);
            }
        }
        items.sort_by_key(|(path, ..)| (!path.starts_with("std::"), path.len()));
        Candidates { place: (place.start().into(), place.end().into()), items }
    }

    /// Words behind a value that stand for code around it: `x.dbg` for `dbg!(x)`.
    fn postfix(&self, found: &[CompletionItem], position: FilePosition) -> Option<Candidates> {
        let is_snippet = |item: &&CompletionItem| matches!(item.kind, CompletionItemKind::Snippet);
        let typed = self.text[..usize::from(position.offset)].rsplit('.').next().unwrap_or_default();
        let fits = |item: &&CompletionItem| !typed.is_empty() && item.lookup().starts_with(typed);
        let mut place = None;
        let mut items = Vec::new();
        for item in found.iter().filter(is_snippet).filter(fits) {
            let mut edits = item.text_edit.iter();
            let Some(edit) = edits.next().filter(|_| edits.next().is_none()) else { continue };
            if *place.get_or_insert(edit.delete) == edit.delete {
                items.push((without_places(&edit.insert), "keyword".to_owned(), item.label.primary.to_string()));
            }
        }
        let place = place?;
        Some(Candidates { place: (place.start().into(), place.end().into()), items })
    }

    /// What is known of the name that ends at byte `end`: plain text, and Markdown.
    pub fn inspect(&self, end: usize) -> Option<(String, String)> {
        self.inspect_at(self.file, TextSize::try_from(end).ok()?)
    }

    /// What is known of a type, a trait or a function of this name that is not in scope: the standard library's first.
    pub fn inspect_elsewhere(&self, name: &str) -> Option<(String, String)> {
        let mut query = Query::new(name.to_owned());
        query.libs();
        query.exact();
        query.case_sensitive();
        query.exclude_imports();
        query.assoc_search_mode(AssocSearchMode::Exclude);
        let found = self.host.analysis().symbol_search(query, ELSEWHERE_MAX).ok()?;
        let is_public = |found: &&NavigationTarget| {
            let text = self.host.analysis().file_text(found.file_id).ok()?;
            let item = text.get(found.full_range.start().into()..found.focus_range?.start().into())?;
            // The documentation and the attributes come before it.
            Some(item.lines().any(|line| line.trim_start().starts_with("pub ") || line.contains("macro_rules!")))
        };
        let found = found.iter().find(|found| is_public(found) == Some(true))?;
        self.inspect_at(found.file_id, found.focus_range?.start())
    }

    fn inspect_at(&self, file: FileId, at: TextSize) -> Option<(String, String)> {
        // Empty, because a longer range would give the type.
        let range = TextRange::empty(at);
        let ask = |format: HoverDocFormat| {
            let asked = FileRange { file_id: file, range };
            let found = self.host.analysis().hover(&hover(format), asked).ok()??;
            Some(found.info.markup.as_str().to_owned())
        };
        Some((ask(HoverDocFormat::PlainText)?, ask(HoverDocFormat::Markdown)?))
    }
}

/// Offers names alone, for a front end that inserts them as they are, and nothing that would need another `use`.
fn completion() -> CompletionConfig<'static> {
    let imports = InsertUseConfig {
        granularity: ImportGranularity::Item,
        enforce_granularity: false,
        prefix_kind: PrefixKind::ByCrate,
        group: false,
        skip_glob_imports: true,
    };
    CompletionConfig {
        callable: None,
        snippet_cap: None,
        snippets: Vec::new(),
        limit: None,
        insert_use: imports,
        full_function_signatures: false,
        fields_to_resolve: CompletionFieldsToResolve::empty(),
        enable_postfix_completions: false,
        enable_imports_on_the_fly: false,
        enable_self_on_the_fly: true,
        enable_auto_iter: false,
        enable_auto_await: false,
        enable_private_editable: true,
        enable_term_search: false,
        term_search_fuel: 0,
        add_colons_to_module: false,
        add_semicolon_to_unit: false,
        prefer_no_std: false,
        prefer_prelude: true,
        prefer_absolute: false,
        exclude_flyimport: Vec::new(),
        exclude_traits: &[],
        ra_fixture: RaFixtureConfig::default(),
    }
}

/// Offers what [`completion`] leaves out: names that need a path, and code around a value.
fn completion_elsewhere() -> CompletionConfig<'static> {
    CompletionConfig {
        snippet_cap: SnippetCap::new(true),
        enable_postfix_completions: true,
        enable_imports_on_the_fly: true,
        ..completion()
    }
}

/// A snippet's text without the places where a cursor would stop: `$0`, `${1:name}`.
fn without_places(snippet: &str) -> String {
    let (mut text, mut rest) = (String::new(), snippet);
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((inside, behind)) => {
                text.push_str(inside.split_once(':').map_or("", |(_, words)| words));
                behind
            }
            None if digits > 0 => &after[digits..],
            None => {
                text.push('$');
                after
            }
        };
    }
    text + rest
}

fn hover(format: HoverDocFormat) -> HoverConfig<'static> {
    HoverConfig {
        format,
        documentation: true,
        keywords: true,
        links_in_hover: false,
        memory_layout: None,
        max_trait_assoc_items_count: None,
        max_fields_count: Some(8),
        max_enum_variants_count: Some(8),
        max_subst_ty_len: SubstTyLen::Unlimited,
        show_drop_glue: false,
        ra_fixture: RaFixtureConfig::default(),
    }
}

/// A name with its signature or type: `push(&mut self, T)`, `x: i64`.
fn label(item: &CompletionItem) -> String {
    let name = &item.label.primary;
    match (item.kind, item.label.detail_right.as_deref()) {
        (CompletionItemKind::SymbolKind(SymbolKind::Function | SymbolKind::Method), Some(signature)) => {
            let (_, rest) = signature.split_once("fn(").unwrap_or_default();
            if rest.is_empty() { name.to_string() } else { format!("{name}({rest}") }
        }
        (CompletionItemKind::SymbolKind(SymbolKind::Field | SymbolKind::Local), Some(ty)) => format!("{name}: {ty}"),
        _ => name.to_string(),
    }
}

/// The kinds that Jupyter's front ends have icons for.
fn kind(kind: CompletionItemKind) -> &'static str {
    let CompletionItemKind::SymbolKind(symbol) = kind else {
        return if matches!(kind, CompletionItemKind::Keyword) { "keyword" } else { "instance" };
    };
    match symbol {
        SymbolKind::Module | SymbolKind::CrateRoot | SymbolKind::ToolModule => "module",
        SymbolKind::Struct
        | SymbolKind::Enum
        | SymbolKind::Union
        | SymbolKind::Trait
        | SymbolKind::TypeAlias
        | SymbolKind::TypeParam
        | SymbolKind::SelfType => "class",
        SymbolKind::Function
        | SymbolKind::Method
        | SymbolKind::Macro
        | SymbolKind::ProcMacro
        | SymbolKind::Derive
        | SymbolKind::DeriveHelper
        | SymbolKind::Attribute
        | SymbolKind::BuiltinAttr => "function",
        _ => "instance",
    }
}
