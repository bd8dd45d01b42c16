//! One item of a cell: what it defines, what it depends on, and how it is made visible to later cells.
//!
//! ```text
//!   fn area(s: &Square) -> f64     keys: the value `area`                  mentions: Square, f64
//!   impl Square { fn new() … }     members: `Square`'s method `new`        about: Square
//!   impl Shape for Square { … }    keys: the impl of `Shape` for `Square`  about: Square, Shape
//! ```
//!
//! A *key* identifies an item of the session: of two items with the same key, the newer supersedes the older. The items of an inherent
//! `impl`, of an `extern` block and of `thread_local!` have keys of their own, so that one can be superseded and the rest stay.

use super::edit::Edit;
use super::macro_visibility::publish_rules;
use super::mentions::{mentioned, plain};
use super::rewrite;
use super::session_tests::{self, Test};
use super::told::Told;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::HashSet;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Fields, GenericParam, Generics, ImplItem, Item, Visibility};

/// The namespace of an item's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Types, traits, modules.
    Type,
    /// Functions, constants, statics.
    Value,
    /// `macro_rules!`.
    Macro,
}

/// The identity of an item in the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The item of this name.
    Name(Space, String),
    /// The item of this name in an inherent `impl` of this type.
    Member(String, String),
    /// The `impl` of this trait for this type.
    Impl(String, String),
    /// An item without a name: its words.
    Words(String),
}

/// A part of an item that can be superseded alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub key: Key,
    /// Its place in the code.
    pub range: Range<usize>,
    /// What it depends on, besides what the whole item depends on.
    depends: Depends,
}

/// A `static`, described so that its value can stay when the code around it is compiled again.
#[derive(Clone, Debug, PartialEq)]
pub struct Static {
    pub name: String,
    pub is_mut: bool,
    /// The place of its type in the code.
    pub ty: Range<usize>,
    /// Where the word `static` begins.
    pub at: usize,
}

/// An item of a cell.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its place in the code.
    pub range: Range<usize>,
    /// The word that it begins with: `fn`, `struct`; empty for an `impl` and for an item that a macro makes.
    pub kind: &'static str,
    /// The keys of the whole item; empty if each of its members has one.
    pub keys: Vec<Key>,
    /// The parts that can be superseded alone.
    pub members: Vec<Member>,
    /// Of an `impl`: its type, its trait, and the types among the trait's arguments. The orphan rules want one of them in the same crate.
    pub about: Vec<String>,
    /// The names that it depends on.
    pub mentions: HashSet<String>,
    /// Those that the layout of its values depends on: of a static, its type; of a trait, its methods without their bodies.
    pub shape: HashSet<String>,
    /// The methods that it calls.
    pub calls: HashSet<String>,
    /// The methods that a trait declares, which are called without naming the trait.
    pub methods: Vec<String>,
    /// The edits that make it visible to later cells.
    pub edits: Vec<Edit>,
    /// Whether it defines a trait.
    pub is_trait: bool,
    /// Whether it defines a `macro_rules!`, which must stand before its uses.
    pub is_macro: bool,
    /// Whether the macro produces items.
    pub makes_items: bool,
    /// Whether it makes statics, by a macro or as written.
    pub is_static: bool,
    /// The static, if the item is one as written.
    pub as_static: Option<Static>,
    /// The tests in it.
    pub tests: Vec<Test>,
    /// What the library is told of it.
    pub told: Option<Told>,
}

impl Part {
    /// The names that it defines, with their namespaces.
    pub fn names(&self) -> impl Iterator<Item = (Space, &str)> {
        let keys = self.keys.iter().chain(self.members.iter().map(|member| &member.key));
        keys.filter_map(|key| match key {
            Key::Name(space, name) => Some((*space, name.as_str())),
            _ => None,
        })
    }

    /// The names of values that it defines.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|(space, _)| *space == Space::Value).map(|(_, name)| name)
    }

    /// Whether it defines a value, type or macro of this name.
    pub fn has_name(&self, wanted: &str) -> bool {
        self.names().any(|(_, name)| name == wanted)
    }

    /// All keys, its own and its members'.
    pub fn all_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().chain(self.members.iter().map(|member| &member.key))
    }

    /// Removes and returns the members of this key; forgets the names that only they depend on.
    pub fn remove(&mut self, key: &Key) -> Vec<Member> {
        let (gone, left): (Vec<Member>, Vec<Member>) = self.members.drain(..).partition(|member| member.key == *key);
        self.members = left;
        let stays = |word: &String, of: fn(&Depends) -> &HashSet<String>| {
            self.members.iter().any(|member| of(&member.depends).contains(word))
                || !gone.iter().any(|member| of(&member.depends).contains(word))
        };
        let about = &self.about;
        self.mentions.retain(|word| about.contains(word) || stays(word, |depends| &depends.mentions));
        self.calls.retain(|word| stays(word, |depends| &depends.calls));
        gone
    }

    /// Whether it is an `impl`.
    pub fn is_impl(&self) -> bool {
        !self.about.is_empty()
    }
}

/// Reads an item.
pub fn part(item: &Item) -> Part {
    let mut part = empty(bytes(item.span()));
    let mut depends = Depends::default();
    depends.visit_item(item);
    (part.mentions, part.calls) = (depends.mentions, depends.calls);
    part.shape = shape(item, &part.mentions);
    part.kind = kind(item);
    part.told = Told::of(item);
    described(item, &mut part);
    // In a macro's rules, a column is that of the macro's caller.
    if !part.is_macro {
        let mut columns = Vec::new();
        rewrite::columns(item.to_token_stream(), &mut columns);
        part.edits.extend(columns.into_iter().map(|found| Edit { range: found.range, text: found.text.into() }));
    }
    if part.keys.is_empty() && part.members.is_empty() {
        part.keys.push(Key::Words(item.to_token_stream().to_string()));
    }
    part
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Fn(_) => "fn",
        Item::Struct(_) => "struct",
        Item::Union(_) => "union",
        Item::Enum(_) => "enum",
        Item::Trait(_) => "trait",
        Item::Type(_) => "type",
        Item::Const(_) => "const",
        Item::Static(_) => "static",
        Item::Mod(_) => "mod",
        Item::Macro(_) => "macro",
        Item::ForeignMod(_) => "extern",
        _ => "",
    }
}

fn shape(item: &Item, mentions: &HashSet<String>) -> HashSet<String> {
    let mut depends = Depends::default();
    match item {
        Item::Impl(_) => {}
        Item::Static(item) => depends.visit_type(&item.ty),
        Item::Trait(item) => {
            depends.visit_generics(&item.generics);
            item.supertraits.iter().for_each(|bound| depends.visit_type_param_bound(bound));
            for inner in &item.items {
                match inner {
                    syn::TraitItem::Fn(inner) => depends.visit_signature(&inner.sig),
                    inner => depends.visit_trait_item(inner),
                }
            }
        }
        _ => return mentions.clone(),
    }
    depends.mentions
}

fn described(item: &Item, part: &mut Part) {
    part.tests = session_tests::tests_of(item, &mut part.edits);
    let mut public = |vis: &Visibility, at: Span| show(vis, at, &mut part.edits);
    let (space, name) = match item {
        Item::Fn(item) => {
            public(&item.vis, item.sig.span());
            (Space::Value, &item.sig.ident)
        }
        Item::Struct(item) => {
            public(&item.vis, item.struct_token.span);
            fields(&item.fields, &mut part.edits);
            if !matches!(item.fields, Fields::Named(_)) {
                part.keys.push(Key::Name(Space::Value, item.ident.to_string()));
            }
            (Space::Type, &item.ident)
        }
        Item::Union(item) => {
            public(&item.vis, item.union_token.span);
            item.fields.named.iter().for_each(|field| field_of(field, &mut part.edits));
            (Space::Type, &item.ident)
        }
        Item::Enum(item) => {
            public(&item.vis, item.enum_token.span);
            (Space::Type, &item.ident)
        }
        Item::Trait(item) => {
            let first = item.unsafety.as_ref().map_or(item.trait_token.span, |word| word.span);
            public(&item.vis, first);
            part.is_trait = true;
            part.methods = item.items.iter().filter_map(name_in_trait).collect();
            (Space::Type, &item.ident)
        }
        Item::Type(item) => {
            public(&item.vis, item.type_token.span);
            (Space::Type, &item.ident)
        }
        Item::Const(item) => {
            public(&item.vis, item.const_token.span);
            if item.ident == "_" {
                return;
            }
            (Space::Value, &item.ident)
        }
        Item::Static(item) => {
            public(&item.vis, item.static_token.span);
            part.is_static = true;
            part.as_static = Some(Static {
                name: item.ident.to_string(),
                is_mut: matches!(item.mutability, syn::StaticMutability::Mut(_)),
                ty: bytes(item.ty.span()),
                at: bytes(item.static_token.span).start,
            });
            (Space::Value, &item.ident)
        }
        Item::Mod(item) => {
            public(&item.vis, item.mod_token.span);
            let mut inside = Restricted { edits: &mut part.edits };
            item.content.iter().flat_map(|(_, items)| items).for_each(|item| inside.visit_item(item));
            (Space::Type, &item.ident)
        }
        Item::Macro(item) => {
            let Some(name) = &item.ident else { return };
            let is_exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
            if !is_exported {
                let start = bytes(item.mac.path.span()).start;
                part.edits.push(Edit { range: start..start, text: "#[macro_export] ".into() });
            }
            part.is_macro = true;
            part.makes_items = publish_rules(item.mac.tokens.clone(), &mut part.edits);
            (Space::Macro, name)
        }
        Item::Impl(item) => return described_impl(item, part),
        Item::ForeignMod(item) => {
            for inner in &item.items {
                let (vis, at, name) = match inner {
                    syn::ForeignItem::Fn(inner) => (&inner.vis, inner.sig.span(), &inner.sig.ident),
                    syn::ForeignItem::Static(inner) => (&inner.vis, inner.static_token.span, &inner.ident),
                    _ => continue,
                };
                show(vis, at, &mut part.edits);
                let key = Key::Name(Space::Value, name.to_string());
                let depends = Depends::of(|depends| depends.visit_foreign_item(inner));
                part.members.push(Member { key, range: bytes(inner.span()), depends });
            }
            return;
        }
        _ => return,
    };
    part.keys.push(Key::Name(space, name.to_string()));
}

fn name_in_trait(item: &syn::TraitItem) -> Option<String> {
    match item {
        syn::TraitItem::Fn(item) => Some(plain(&item.sig.ident.to_string()).to_owned()),
        _ => None,
    }
}

fn described_impl(item: &syn::ItemImpl, part: &mut Part) {
    part.about.extend(head(&item.self_ty));
    let of = general(item.self_ty.to_token_stream(), &item.generics);
    if let Some((path, _)) = &item.trait_ {
        part.about.extend(last_word(path));
        let last = path.segments.last();
        let arguments = last.map(|segment| &segment.arguments);
        if let Some(syn::PathArguments::AngleBracketed(arguments)) = arguments {
            part.about.extend(arguments.args.iter().filter_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => head(ty),
                _ => None,
            }));
        }
        let of_trait = general(last.map(ToTokens::to_token_stream).unwrap_or_default(), &item.generics);
        return part.keys.push(Key::Impl(of_trait, of));
    }
    for inner in &item.items {
        let name = match inner {
            ImplItem::Fn(inner) => {
                show(&inner.vis, inner.sig.span(), &mut part.edits);
                inner.sig.ident.to_string()
            }
            ImplItem::Const(inner) => {
                show(&inner.vis, inner.const_token.span, &mut part.edits);
                inner.ident.to_string()
            }
            ImplItem::Type(inner) => {
                show(&inner.vis, inner.type_token.span, &mut part.edits);
                inner.ident.to_string()
            }
            other => other.to_token_stream().to_string(),
        };
        let key = Key::Member(of.clone(), plain(&name).to_owned());
        let depends = Depends::of(|depends| depends.visit_impl_item(inner));
        part.members.push(Member { key, range: bytes(inner.span()), depends });
    }
}

/// A type's words, with its generic parameters named by their position: `Stack<T>` and `Stack<U>` are the same.
fn general(tokens: TokenStream, generics: &Generics) -> String {
    let names: Vec<String> = generics
        .params
        .iter()
        .map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
        })
        .collect();
    let mut text = String::new();
    let mut write = |word: &str| {
        text.push_str(word);
        text.push(' ');
    };
    fn walk(tokens: TokenStream, names: &[String], write: &mut dyn FnMut(&str)) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    write(&format!("{:?}", group.delimiter()));
                    walk(group.stream(), names, write);
                    write("end");
                }
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    match names.iter().position(|known| *known == name) {
                        Some(at) => write(&format!("_{at}")),
                        None => write(plain(&name)),
                    }
                }
                other => write(&other.to_string()),
            }
        }
    }
    walk(tokens, &names, &mut write);
    text
}

/// Reads `thread_local!` and `lazy_static!`, which make items although they look like statements.
pub fn statics_of_a_macro(statement: &syn::StmtMacro) -> Option<Part> {
    let name = statement.mac.path.segments.last()?.ident.to_string();
    if !["thread_local", "lazy_static"].contains(&name.as_str()) {
        return None;
    }
    let mut part = empty(bytes(statement.span()));
    part.mentions = mentioned(statement.to_token_stream());
    part.shape = part.mentions.clone();
    part.is_static = true;
    part.kind = "static";
    let tokens: Vec<TokenTree> = statement.mac.tokens.clone().into_iter().collect();
    for one in tokens.split_inclusive(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')) {
        let Some(at) = one.iter().position(|token| token.to_string() == "static") else { continue };
        if at == 0 || one[at - 1].to_string() != "pub" {
            let start = bytes(one[at].span()).start;
            part.edits.push(Edit { range: start..start, text: "pub ".into() });
        }
        let name = one[at + 1..].iter().map(ToString::to_string).find(|word| word != "ref" && word != "mut");
        let range = bytes(one[0].span()).start..one.last().map_or(0, |last| bytes(last.span()).end);
        let words = mentioned(one.iter().cloned().collect());
        let depends = Depends { mentions: words.clone(), calls: words };
        part.members.extend(name.map(|name| Member { key: Key::Name(Space::Value, name), range, depends }));
    }
    Some(part)
}

fn empty(range: Range<usize>) -> Part {
    Part { range, ..Part::default() }
}

fn bytes(span: Span) -> Range<usize> {
    span.byte_range()
}

/// The words of a `macro_rules!`, except those behind a `$`.
fn in_definition(tokens: TokenStream, words: &mut HashSet<String>) {
    let mut is_named = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => in_definition(group.stream(), words),
            TokenTree::Ident(_) if is_named => {}
            TokenTree::Punct(punct) => {
                is_named = punct.as_char() == '$';
                continue;
            }
            other => words.extend(mentioned(TokenStream::from(other))),
        }
        is_named = false;
    }
}

/// The names that an item depends on: the first of each path, and each word of a macro call; no fields, no variables in patterns.
#[derive(Clone, Debug, Default, PartialEq)]
struct Depends {
    mentions: HashSet<String>,
    calls: HashSet<String>,
}

impl Depends {
    fn of(visit: impl FnOnce(&mut Depends)) -> Depends {
        let mut depends = Depends::default();
        visit(&mut depends);
        depends
    }

    fn add(&mut self, ident: &syn::Ident) {
        self.mentions.insert(plain(&ident.to_string()).to_owned());
    }
}

impl<'ast> Visit<'ast> for Depends {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        for segment in &path.segments {
            self.add(&segment.ident);
            if !["self", "super", "crate"].contains(&segment.ident.to_string().as_str()) {
                break;
            }
        }
        // The rest may be a method of a trait: `T::area(…)`.
        self.calls.extend(path.segments.iter().skip(1).map(|segment| plain(&segment.ident.to_string()).to_owned()));
        syn::visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.calls.insert(plain(&call.method.to_string()).to_owned());
        syn::visit::visit_expr_method_call(self, call);
    }

    /// A constant or a variant looks like a variable.
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        if pattern.ident.to_string().starts_with(char::is_uppercase) {
            self.add(&pattern.ident);
        }
        syn::visit::visit_pat_ident(self, pattern);
    }

    fn visit_use_tree(&mut self, tree: &'ast syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.add(&path.ident);
                if ["self", "super", "crate"].contains(&path.ident.to_string().as_str()) {
                    self.visit_use_tree(&path.tree);
                }
            }
            syn::UseTree::Name(name) => self.add(&name.ident),
            syn::UseTree::Rename(rename) => self.add(&rename.ident),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.visit_use_tree(tree)),
            syn::UseTree::Glob(_) => {}
        }
    }

    /// The names that a macro's rules give to what they match are its own.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let mut words = HashSet::new();
        in_definition(item.mac.tokens.clone(), &mut words);
        self.calls.extend(words.iter().cloned());
        self.mentions.extend(words);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let words = mentioned(call.tokens.clone());
        self.calls.extend(words.iter().cloned());
        self.mentions.extend(words);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("doc") {
            self.mentions.extend(mentioned(attribute.to_token_stream()));
        }
    }
}

/// Makes something visible to later cells, which are other crates, unless it is public already.
fn show(vis: &Visibility, at: Span, edits: &mut Vec<Edit>) {
    match vis {
        Visibility::Public(_) => {}
        Visibility::Restricted(vis) => edits.push(Edit { range: bytes(vis.span()), text: "pub".into() }),
        Visibility::Inherited => {
            let start = bytes(at).start;
            edits.push(Edit { range: start..start, text: "pub ".into() });
        }
    }
}

fn fields(fields: &Fields, edits: &mut Vec<Edit>) {
    match fields {
        Fields::Named(fields) => fields.named.iter().for_each(|field| field_of(field, edits)),
        Fields::Unnamed(fields) => fields.unnamed.iter().for_each(|field| field_of(field, edits)),
        Fields::Unit => {}
    }
}

fn field_of(field: &syn::Field, edits: &mut Vec<Edit>) {
    let at = field.ident.as_ref().map_or_else(|| field.ty.span(), syn::Ident::span);
    show(&field.vis, at, edits);
}

/// Makes `pub(crate)` items of a module visible to later cells; its private items stay private.
struct Restricted<'a> {
    edits: &'a mut Vec<Edit>,
}

impl<'ast> Visit<'ast> for Restricted<'_> {
    fn visit_vis_restricted(&mut self, vis: &'ast syn::VisRestricted) {
        if vis.path.is_ident("crate") || vis.path.is_ident("super") {
            self.edits.push(Edit { range: bytes(vis.span()), text: "pub".into() });
        }
    }
}

fn head(ty: &syn::Type) -> Option<String> {
    match ty {
        syn::Type::Path(path) => last_word(&path.path),
        syn::Type::Reference(reference) => head(&reference.elem),
        syn::Type::Paren(inner) => head(&inner.elem),
        syn::Type::Group(inner) => head(&inner.elem),
        syn::Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => last_word(&bound.path),
            _ => None,
        }),
        _ => None,
    }
}

fn last_word(path: &syn::Path) -> Option<String> {
    path.segments.last().map(|segment| segment.ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;

    fn item(code: &str) -> Part {
        parse_cell(code).unwrap().items.remove(0)
    }

    /// The items as later cells see them.
    fn shown_items(code: &str) -> String {
        let parsed = parse_cell(code).unwrap();
        let mut edits: Vec<Edit> = parsed.items.iter().flat_map(|item| item.edits.clone()).collect();
        edits.sort_by_key(|edit| edit.range.start);
        let mut text = code.to_owned();
        edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), &edit.text));
        text
    }

    fn sorted(words: &HashSet<String>) -> Vec<&str> {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn everything_in_an_item_that_was_private_is_public_and_modules_keep_their_secrets() {
        assert_eq!(
            shown_items("struct P { x: i64, pub(crate) y: i64 } impl P { fn new() -> P { P { x: 1, y: 2 } } }"),
            "pub struct P { pub x: i64, pub y: i64 } impl P { pub fn new() -> P { P { x: 1, y: 2 } } }"
        );
        assert_eq!(shown_items("struct T(#[a] i64, String);"), "pub struct T(#[a] pub i64, pub String);");
        assert_eq!(shown_items("#[inline] async unsafe fn f() {}"), "#[inline] pub async unsafe fn f() {}");
        assert_eq!(
            shown_items("mod m { fn hidden() {} pub(crate) fn seen() {} }"),
            "pub mod m { fn hidden() {} pub fn seen() {} }"
        );
        assert_eq!(shown_items("impl Display for P { fn fmt(&self) {} }"), "impl Display for P { fn fmt(&self) {} }");
        assert_eq!(
            shown_items("macro_rules! m { () => {} }\nthread_local! { static A: u8 = 1; }"),
            "#[macro_export] macro_rules! m { () => {} }\nthread_local! { pub static A: u8 = 1; }"
        );
    }

    #[test]
    fn an_impl_knows_what_it_is_about() {
        assert_eq!(item("impl<T> m::Shape<T> for &Point<T> {}").about, ["Point", "Shape", "T"]);
        assert_eq!(item("impl From<Point> for String {}").about, ["String", "From", "Point"]);
    }

    #[test]
    fn impls_are_the_same_whatever_their_parameters_are_called_and_the_path_of_the_trait() {
        assert_eq!(item("impl<T> Shape<T> for Vec<T> {}").keys, item("impl<U> m::Shape<U> for Vec<U> {}").keys);
        assert_ne!(item("impl Shape for Vec<u8> {}").keys, item("impl Shape for Vec<u16> {}").keys);
        let methods = |code| item(code).members.into_iter().map(|member| member.key).collect::<Vec<_>>();
        assert_eq!(methods("impl<T> P<T> { fn f() {} }"), methods("impl<S> P<S> { fn f(&self) -> i32 { 1 } }"));
    }

    #[test]
    fn each_static_of_a_macro_is_one_that_can_be_superseded_alone() {
        let code = "thread_local! { static A: u8 = const { 1; 2 }; pub static B: u8 = 3 }";
        let members: Vec<_> = item(code).members.into_iter().map(|member| &code[member.range]).collect();
        assert_eq!(members, ["static A: u8 = const { 1; 2 };", "pub static B: u8 = 3"]);
    }

    #[test]
    fn what_only_a_superseded_method_depends_on_is_no_matter_any_more() {
        let mut part = item("impl P<Q> { fn a() { A; B; P::c() } fn b() { B; } }");
        let key = part.members[0].key.clone();
        part.remove(&key);
        assert_eq!(sorted(&part.mentions), ["B", "P", "Q"]);
    }

    #[test]
    fn an_item_depends_on_paths_and_words_in_macros_but_on_no_field_and_no_variable() {
        let part =
            item("fn f(p: P) -> u8 { let width = p.value; g(width) + self::h() + format!(\"{}\", word).area() }");
        for name in ["P", "g", "h", "word", "format", "u8"] {
            assert!(part.mentions.contains(name), "{name} in {:?}", part.mentions);
        }
        assert!(!part.mentions.contains("value") && !part.mentions.contains("p.value"));
        assert!(part.calls.contains("area"));
        assert_eq!(sorted(&item("fn e() -> u8 { m!(0) + 0 }").mentions), ["m", "u8"]);
        assert_eq!(sorted(&item("macro_rules! m { ($e:expr) => { $e + g(K) } }").mentions), ["K", "expr", "g"]);
        assert_eq!(sorted(&item("struct P { value: Q, n: [u8; N] }").mentions), ["N", "Q", "u8"]);
    }

    #[test]
    fn the_layout_of_a_static_depends_on_its_type_and_that_of_a_trait_on_no_body() {
        assert_eq!(sorted(&item("static A: Option<P> = make();").shape), ["Option", "P"]);
        assert_eq!(sorted(&item("trait A: B { fn f(&self, c: C) -> u8 { d() } }").shape), ["B", "C", "u8"]);
    }
}
