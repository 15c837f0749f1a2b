use std::collections::BTreeSet;

use syn::{
    ImplItem, Item, ItemImpl, ItemUse, ReturnType, TraitItem, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{Violation, table};

/// Finds types of the WebRTC implementation in the public signatures of a file, and re-exports of them.
///
/// The adapter crate may show such types; nobody may re-export the implementation.
pub(crate) fn check(path: &str, package: &str, file: &syn::File) -> Vec<Violation> {
    let mut checker =
        Checker { path, names: table::IMPLEMENTATION.iter().map(ToString::to_string).collect(), found: vec![] };
    checker.learn_imports(&file.items);
    checker.items(&file.items, package == table::ADAPTER);
    checker.found
}

struct Checker<'a> {
    path: &'a str,
    /// First path segments that lead to the implementation: its crates and what the file imports from them.
    names: BTreeSet<String>,
    found: Vec<Violation>,
}

impl Checker<'_> {
    fn learn_imports(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Use(item) if self.leads_to_implementation(item) => leaves(&item.tree, &mut self.names),
                Item::Mod(module) => {
                    if let Some((_, items)) = &module.content {
                        self.learn_imports(items);
                    }
                }
                _ => {}
            }
        }
    }

    fn leads_to_implementation(&self, item: &ItemUse) -> bool {
        let root = match &item.tree {
            UseTree::Path(path) => path.ident.to_string(),
            UseTree::Name(name) => name.ident.to_string(),
            UseTree::Rename(rename) => rename.ident.to_string(),
            UseTree::Glob(_) | UseTree::Group(_) => return false,
        };
        table::IMPLEMENTATION.contains(&root.as_str())
    }

    fn items(&mut self, items: &[Item], may_show: bool) {
        let declared_private: BTreeSet<String> = items.iter().filter_map(private_type).collect();
        for item in items {
            match item {
                Item::Use(item) if is_public(&item.vis) && self.leads_to_implementation(item) => {
                    self.report(item.span(), "re-exports the WebRTC implementation");
                }
                Item::Mod(module) => {
                    if let Some((_, items)) = &module.content {
                        self.items(items, may_show || !is_public(&module.vis));
                    }
                }
                _ if may_show => {}
                Item::Fn(item) if is_public(&item.vis) => self.signature(&item.sig),
                Item::Struct(item) if is_public(&item.vis) => {
                    self.judge(|v| v.visit_generics(&item.generics));
                    for field in item.fields.iter().filter(|field| is_public(&field.vis)) {
                        self.judge(|v| v.visit_type(&field.ty));
                    }
                }
                Item::Enum(item) if is_public(&item.vis) => {
                    for field in item.variants.iter().flat_map(|variant| &variant.fields) {
                        self.judge(|v| v.visit_type(&field.ty));
                    }
                }
                Item::Type(item) if is_public(&item.vis) => self.judge(|v| v.visit_type(&item.ty)),
                Item::Const(item) if is_public(&item.vis) => self.judge(|v| v.visit_type(&item.ty)),
                Item::Static(item) if is_public(&item.vis) => self.judge(|v| v.visit_type(&item.ty)),
                Item::Trait(item) if is_public(&item.vis) => {
                    self.judge(|v| item.supertraits.iter().for_each(|bound| v.visit_type_param_bound(bound)));
                    for item in &item.items {
                        match item {
                            TraitItem::Fn(item) => self.signature(&item.sig),
                            TraitItem::Type(item) => self.judge(|v| v.visit_trait_item_type(item)),
                            TraitItem::Const(item) => self.judge(|v| v.visit_type(&item.ty)),
                            _ => {}
                        }
                    }
                }
                Item::Impl(item) if !declared_private.contains(&self_name(item)) => self.implementation(item),
                _ => {}
            }
        }
    }

    fn implementation(&mut self, item: &ItemImpl) {
        let is_trait = item.trait_.is_some();
        if let Some((_, path, _)) = &item.trait_ {
            self.judge(|v| v.visit_path(path));
        }
        for item in &item.items {
            match item {
                ImplItem::Fn(item) if is_trait || is_public(&item.vis) => self.signature(&item.sig),
                ImplItem::Type(item) if is_trait => self.judge(|v| v.visit_type(&item.ty)),
                ImplItem::Const(item) if is_public(&item.vis) => self.judge(|v| v.visit_type(&item.ty)),
                _ => {}
            }
        }
    }

    fn signature(&mut self, signature: &syn::Signature) {
        self.judge(|v| {
            v.visit_generics(&signature.generics);
            signature.inputs.iter().for_each(|input| v.visit_fn_arg(input));
            if let ReturnType::Type(_, output) = &signature.output {
                v.visit_type(output);
            }
        });
    }

    /// Reports each mention of the implementation among what `walk` visits.
    fn judge(&mut self, walk: impl FnOnce(&mut Mentions<'_>)) {
        let mut mentions = Mentions { names: &self.names, lines: BTreeSet::new() };
        walk(&mut mentions);
        for line in mentions.lines {
            let message = "a type of the WebRTC implementation in a public signature";
            self.found.push(Violation::new(format!("{}:{line}", self.path), message));
        }
    }

    fn report(&mut self, span: proc_macro2::Span, message: &str) {
        self.found.push(Violation::new(format!("{}:{}", self.path, span.start().line), message));
    }
}

struct Mentions<'a> {
    names: &'a BTreeSet<String>,
    lines: BTreeSet<usize>,
}

impl<'ast> Visit<'ast> for Mentions<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.first().is_some_and(|first| self.names.contains(&first.ident.to_string())) {
            self.lines.insert(path.span().start().line);
        }
        visit::visit_path(self, path);
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The name of a type that only its own crate sees.
fn private_type(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) if !is_public(&item.vis) => Some(item.ident.to_string()),
        Item::Enum(item) if !is_public(&item.vis) => Some(item.ident.to_string()),
        _ => None,
    }
}

fn self_name(item: &ItemImpl) -> String {
    match &*item.self_ty {
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The names that a `use` brings in.
fn leaves(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => {
            if matches!(&*path.tree, UseTree::Group(group) if group.items.iter().any(is_self)) {
                names.insert(path.ident.to_string());
            }
            leaves(&path.tree, names);
        }
        UseTree::Name(name) => {
            names.insert(name.ident.to_string());
        }
        UseTree::Rename(rename) => {
            names.insert(rename.rename.to_string());
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
        UseTree::Glob(_) => {}
    }
    names.remove("self");
}

fn is_self(tree: &UseTree) -> bool {
    matches!(tree, UseTree::Name(name) if name.ident == "self")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(package: &str, text: &str) -> Vec<String> {
        check("lib.rs", package, &syn::parse_file(text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_public_place_of_a_foreign_type_is_caught() {
        for text in [
            "pub fn f(p: &rtc::rtp::Packet) {}",
            "pub fn f() -> Option<webrtc::Track> { None }",
            "pub fn f<T: rtc::Marshal>(t: T) {}",
            "pub fn f(t: impl Fn(rtc::Packet)) {}",
            "use rtc::rtp::Packet; pub struct S { pub packet: Packet }",
            "use rtc::rtp::Packet as P; pub struct S(pub P);",
            "use rtc::rtp::{self, header}; pub fn f(p: rtp::Packet) {}",
            "pub enum Error { Rtc(#[from] rtc::Error) }",
            "pub type Packet = rtc::rtp::Packet;",
            "pub const P: rtc::Kind = rtc::Kind::Audio;",
            "pub trait T { fn f(&self) -> rtc::Packet; }",
            "pub trait T: rtc::Marshal {}",
            "pub trait T { type Packet: rtc::Marshal; }",
            "pub struct S; impl S { pub fn f(&self) -> rtc::Packet { g() } }",
            "pub struct E; impl From<rtc::Error> for E { fn from(_: u8) -> Self { E } }",
            "pub struct S; impl Iterator for S { type Item = rtc::Packet; }",
            "pub mod inner { pub fn f() -> rtc::Packet { g() } }",
        ] {
            assert_eq!(lines("remotemedia-rtp", text).len(), 1, "{text}");
            assert_eq!(lines("remotemedia-mesh", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn private_use_is_fine() {
        for text in [
            "use rtc::rtp::Packet; fn f(p: Packet) {}",
            "pub(crate) fn f(p: rtc::Packet) {}",
            "pub struct S { packet: rtc::Packet }",
            "struct S; impl rtc::Marshal for S { fn size(&self) -> rtc::Size { 0 } }",
            "pub struct S; impl S { fn f(&self) -> rtc::Packet { g() } }",
            "pub fn f() -> crate::Packet { rtc::Packet::default().into() }",
            "mod inner { pub fn f() -> rtc::Packet { g() } }",
            "pub fn f(rtc: u8) {}",
        ] {
            assert_eq!(lines("remotemedia-rtp", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn nobody_re_exports_the_implementation() {
        for text in
            ["pub use webrtc;", "pub use rtc::rtp::Packet;", "pub use rtc as engine;", "pub use webrtc::peer::*;"]
        {
            assert_eq!(lines("remotemedia-mesh", text), ["lib.rs:1: re-exports the WebRTC implementation"], "{text}");
        }
        assert_eq!(
            lines("remotemedia-mesh", "pub(crate) use webrtc::peer::A; pub use crate::rtc::B;"),
            Vec::<String>::new()
        );
    }
}
