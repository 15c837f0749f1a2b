use super::{
    Violation, table,
    tokens::{Scope, Tokens},
};

/// A source file as the rules see it.
pub(crate) struct Source<'a> {
    /// Relative to the workspace, with forward slashes.
    pub(crate) path: &'a str,
    pub(crate) tokens: &'a Tokens,
    /// Whether the whole file must be free of runtimes, sockets and ambient clocks.
    pub(crate) sans_io: bool,
}

/// Ways to reach a runtime, a socket or a clock that nobody handed in.
const AMBIENT: &[(&[&str], &str)] = &[
    (&["tokio"], "tokio"),
    (&["Instant", ":", ":", "now"], "Instant::now"),
    (&["SystemTime", ":", ":", "now"], "SystemTime::now"),
    (&["OffsetDateTime", ":", ":", "now_utc"], "OffsetDateTime::now_utc"),
    (&[".", "elapsed", "(", ")"], "elapsed(), which reads the clock"),
    (&["Instant", "as"], "Instant under another name"),
    (&["SystemTime", "as"], "SystemTime under another name"),
    (&["thread", ":", ":", "sleep"], "thread::sleep"),
    (&["UdpSocket"], "UdpSocket"),
    (&["TcpStream"], "TcpStream"),
    (&["TcpListener"], "TcpListener"),
];

/// Unfinished work, wherever it stands.
const UNFINISHED: &[(&[&str], &str)] = &[(&["todo", "!"], "todo!"), (&["unimplemented", "!"], "unimplemented!")];

/// Lints that tell of code nothing uses.
const UNUSED: &[&str] = &["dead_code", "unused"];

/// Checks one file against the rules that need no more than its words.
pub(crate) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |lines: Vec<usize>, message: &str| {
        violations.extend(lines.into_iter().map(|line| Violation::new(format!("{}:{line}", source.path), message)));
    };
    if source.sans_io {
        for (pattern, name) in AMBIENT {
            let message = format!("{name} in sans-IO code: time and datagrams are arguments there");
            report(source.tokens.find(pattern, Scope::Shipped), &message);
        }
    }
    if !table::may_be_unsafe(source.path) {
        let message = "unsafe outside crates/codecs, netsim's netns and benches";
        report(source.tokens.find(&["unsafe"], Scope::Everything), message);
    }
    for (pattern, name) in UNFINISHED {
        report(source.tokens.find(pattern, Scope::Everything), &format!("{name} is unfinished work"));
    }
    report(source.tokens.silenced(UNUSED), "unused code is removed, not silenced");
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, sans_io: bool, text: &str) -> Vec<String> {
        let tokens = Tokens::of(text.parse().unwrap());
        check(&Source { path, tokens: &tokens, sans_io }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_ambient_clock_runtime_and_socket_is_caught_in_sans_io_code_only() {
        for text in [
            "use tokio::sync::mpsc;",
            "fn f() { tokio::spawn(g()); }",
            "fn f() { let t = Instant::now(); }",
            "fn f() { let t = std::time::Instant :: now (); }",
            "fn f() { let t = SystemTime::now(); }",
            "fn f() { let t = time::OffsetDateTime::now_utc(); }",
            "fn f(t: Instant) { g(t.elapsed()) }",
            "use std::time::Instant as Moment;",
            "use std::time::SystemTime as Wall;",
            "fn f() { std::thread::sleep(d); }",
            "fn f() { let s = UdpSocket::bind(a); }",
            "use std::net::TcpStream;",
            "use std::net::TcpListener;",
            "fn f() { log!(Instant::now()); }",
        ] {
            assert_eq!(check_text("crates/jitter/src/lib.rs", true, text).len(), 1, "{text}");
            assert_eq!(check_text("crates/mesh/src/lib.rs", false, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn time_as_an_argument_is_fine() {
        let text = "
            //! No tokio here, no `Instant::now()`.
            use std::time::{Duration, Instant};
            fn f(now: Instant, since: &Window) -> Duration { since.elapsed(now) }
            #[cfg(test)]
            mod tests { fn now() -> Instant { Instant::now() } }
        ";
        assert_eq!(check_text("crates/jitter/src/lib.rs", true, text), Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_caught_wherever_it_is_not_allowed() {
        let text = "fn f() { unsafe { g() } }";
        for path in ["crates/rtp/src/lib.rs", "crates/mesh/tests/a.rs", "crates/netsim/src/link.rs", "examples/a.rs"] {
            assert_eq!(
                check_text(path, false, text),
                [format!("{path}:1: unsafe outside crates/codecs, netsim's netns and benches")]
            );
        }
        for path in ["crates/codecs/src/vpx.rs", "crates/netsim/src/netns/mod.rs", "crates/webrtc/benches/call.rs"] {
            assert_eq!(check_text(path, false, text), Vec::<String>::new());
        }
        assert_eq!(check_text("a.rs", false, "unsafe impl Send for A {}").len(), 1);
        assert_eq!(check_text("a.rs", false, "#![forbid(unsafe_code)]"), Vec::<String>::new());
    }

    #[test]
    fn unfinished_and_unused_code_is_caught_even_in_tests() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"later\") }",
            "#[allow(dead_code)] fn f() {}",
            "#![allow(unused)]",
            "#[cfg(test)] mod tests { #[expect(dead_code)] fn f() {} }",
            "#[cfg_attr(unix, allow(dead_code))] fn f() {}",
        ] {
            assert_eq!(check_text("crates/mesh/tests/a.rs", false, text).len(), 1, "{text}");
        }
        assert_eq!(
            check_text("a.rs", false, "// TODO todo!()\n#[allow(missing_docs)] fn todo() {}"),
            Vec::<String>::new()
        );
    }
}
