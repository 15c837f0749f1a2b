use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A file's words and punctuation in order, comments and the contents of literals gone, nesting flattened.
///
/// Macro bodies are tokens like all others, so nothing hides in one.
pub(crate) struct Tokens(Vec<Token>);

struct Token {
    text: String,
    line: usize,
    /// Whether the token belongs to an item that is compiled for tests only.
    test: bool,
}

/// Which tokens a search looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    Everything,
    /// Those outside `#[cfg(test)]` items.
    Shipped,
}

impl Tokens {
    pub(crate) fn of(stream: TokenStream) -> Self {
        let mut tokens = Vec::new();
        flatten(stream, false, &mut tokens);
        Self(tokens)
    }

    /// The lines on which the words of `pattern` follow each other.
    pub(crate) fn find(&self, pattern: &[&str], scope: Scope) -> Vec<usize> {
        self.0
            .windows(pattern.len())
            .filter(|window| scope == Scope::Everything || !window[0].test)
            .filter(|window| window.iter().zip(pattern).all(|(token, word)| token.text == *word))
            .map(|window| window[0].line)
            .collect()
    }

    /// The lines on which a lint named in `lints` is switched off by `allow` or `expect`.
    pub(crate) fn silenced(&self, lints: &[&str]) -> Vec<usize> {
        let mut lines = Vec::new();
        for (at, token) in self.0.iter().enumerate() {
            let in_attribute = at > 0 && ["[", "(", ","].contains(&self.0[at - 1].text.as_str());
            let opens = self.0.get(at + 1).is_some_and(|next| next.text == "(");
            if in_attribute && opens && ["allow", "expect"].contains(&token.text.as_str()) {
                let listed = self.0[at + 2..].iter().take_while(|token| token.text != ")");
                lines.extend(listed.filter(|token| lints.contains(&token.text.as_str())).map(|token| token.line));
            }
        }
        lines
    }

    /// Names of modules in files of their own that are compiled for tests only.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        self.0
            .windows(3)
            .filter(|window| window[0].test && window[0].text == "mod" && window[2].text == ";")
            .map(|window| window[1].text.clone())
            .collect()
    }
}

fn flatten(stream: TokenStream, test: bool, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut test_until = 0;
    for (at, tree) in trees.iter().enumerate() {
        if is_test_attribute(&trees[at..]) {
            test_until = test_until.max(end_of_item(&trees, at + 2));
        }
        push(tree, test || at < test_until, tokens);
    }
}

fn push(tree: &TokenTree, test: bool, tokens: &mut Vec<Token>) {
    let mut token = |text: String, span: proc_macro2::Span| tokens.push(Token { text, line: span.start().line, test });
    match tree {
        TokenTree::Ident(ident) => token(ident.to_string(), ident.span()),
        TokenTree::Punct(punct) => token(punct.as_char().to_string(), punct.span()),
        TokenTree::Literal(literal) => token("\"\"".to_owned(), literal.span()),
        TokenTree::Group(group) => {
            let (open, close) = delimiters(group);
            token(open.to_owned(), group.span_open());
            flatten(group.stream(), test, tokens);
            tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line, test });
        }
    }
}

/// Whether `#[cfg(test)]` or `#[cfg(all(test, …))]` stands at the beginning of `trees`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    if hash.as_char() != '#' {
        return false;
    }
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The end of the item that begins at `start`, further attributes included; `start` if what follows is no item.
fn end_of_item(trees: &[TokenTree], mut start: usize) -> usize {
    while matches!(&trees.get(start), Some(TokenTree::Punct(hash)) if hash.as_char() == '#') {
        start += 2;
    }
    const ITEMS: &[&str] = &[
        "async", "const", "enum", "extern", "fn", "impl", "mod", "pub", "static", "struct", "trait", "type", "union",
        "unsafe", "use",
    ];
    match trees.get(start) {
        Some(TokenTree::Ident(word)) if ITEMS.contains(&word.to_string().as_str()) => {}
        _ => return start,
    }
    let last = trees[start..].iter().position(|tree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    });
    last.map_or(trees.len(), |last| start + last + 1)
}

fn delimiters(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Tokens {
        Tokens::of(source.parse().unwrap())
    }

    #[test]
    fn comments_and_literals_hold_no_words() {
        let source = "//! tokio\n/// tokio\nfn f() { /* tokio */ g(\"tokio\", r#\"tokio\"#); } // tokio";
        assert!(tokens(source).find(&["tokio"], Scope::Everything).is_empty());
    }

    #[test]
    fn words_are_found_with_their_line_even_inside_macros() {
        let source = "fn f() {\n  assert!(\n    std::time::Instant::now() > t);\n}";
        assert_eq!(tokens(source).find(&["Instant", ":", ":", "now"], Scope::Shipped), [3]);
    }

    #[test]
    fn test_items_are_skipped_and_what_follows_them_is_not() {
        let source = "#[cfg(test)]\n#[allow(x)]\nmod tests {\n  use tokio::a;\n}\n#[cfg(all(test, unix))]\nuse tokio::{b};\nuse tokio::c;";
        assert_eq!(tokens(source).find(&["tokio"], Scope::Shipped), [8]);
        assert_eq!(tokens(source).find(&["tokio"], Scope::Everything), [4, 7, 8]);
    }

    #[test]
    fn code_that_is_only_absent_from_tests_is_not_test_code() {
        assert_eq!(tokens("#[cfg(not(test))]\nuse tokio::a;").find(&["tokio"], Scope::Shipped), [2]);
        assert_eq!(tokens("#[cfg(any(test, unix))]\nuse tokio::a;").find(&["tokio"], Scope::Shipped), [2]);
    }

    #[test]
    fn test_modules_in_their_own_files_are_named() {
        assert_eq!(tokens("mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod c {}").test_modules(), ["b"]);
    }

    #[test]
    fn silenced_lints_are_found_in_lists_and_on_modules() {
        let source =
            "#![allow(\n  clippy::x,\n  dead_code)]\n#[expect(dead_code, reason = \"r\")]\nfn allow(dead_code: u8) {}";
        assert_eq!(tokens(source).silenced(&["dead_code"]), [3, 4]);
        assert!(tokens("#[allow(missing_docs)] fn dead_code() {}").silenced(&["dead_code"]).is_empty());
    }
}
