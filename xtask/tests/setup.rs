//! `cargo xtask setup build` on a machine without cmake and libvpx, as somebody who may not install anything.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// A program that prints `text` and ends with `code`.
fn program(folder: &Path, name: &str, text: &str, code: i32) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\necho '{text}'\nexit {code}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_missing_is_named_with_the_reason_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for there in ["cc", "c++", "make", "nasm"] {
        program(folder.path(), there, "", 0);
    }
    program(folder.path(), "pkg-config", "no such library", 1);
    program(folder.path(), "id", "1000", 0);
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_xtask")).args(["setup", "build"]).env("PATH", folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&stderr);
    assert_eq!((status.code(), stdout.is_empty()), (Some(1), true), "{text}");
    let named: Vec<&str> = text.lines().filter(|line| line.contains(" is missing: ")).collect();
    let expected = [
        "setup: cmake is missing: Opus is built with it",
        "setup: libvpx is missing: VP8 and VP9; the feature `vpx` switches it off",
    ];
    assert_eq!(named, expected, "{text}");
    // Whatever the system is: a command to paste, or the names.
    let remedy = text.split("error: ").nth(1).unwrap();
    assert!(remedy.contains("run this") && remedy.contains("cmake") && remedy.contains("libvpx"), "{text}");
}
