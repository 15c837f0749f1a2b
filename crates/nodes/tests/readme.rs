//! The tables of the README say of every node what it can be told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use remotemedia_runtime_core::node::{ParamKind, ParamSpec};

const README: &str = include_str!("../README.md");

/// The params column of a node's row.
fn params_of(node_type: &str) -> &'static str {
    let beginning = format!("| `{node_type}` |");
    let row = README.lines().find(|line| line.starts_with(&beginning));
    let row = row.unwrap_or_else(|| panic!("{node_type} has no row in the README"));
    row.split(" | ").nth(2).unwrap_or_default()
}

/// The numbers in a text, with commas between thousands; a hyphen before one is a minus.
fn numbers(text: &str) -> Vec<f64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-');
    let parts = text.split(|c| !is_part(c)).map(|part| part.replace(',', ""));
    parts.filter_map(|part| part.trim_end_matches('.').parse().ok()).collect()
}

/// What `text`, the part of a row that is about that param, does not say.
fn missing(param: &ParamSpec, text: &str) -> Option<String> {
    let ends = |ends: [f64; 2]| {
        let said = numbers(text);
        ends.into_iter().find(|end| !said.contains(end)).map(|end| format!("the end {end}"))
    };
    match param.kind() {
        ParamKind::Number(range) => ends([*range.start(), *range.end()]),
        ParamKind::Integer(range) => ends([*range.start() as f64, *range.end() as f64]),
        ParamKind::Choice(choices) => {
            choices.iter().find(|choice| !text.contains(**choice)).map(|choice| format!("the choice {choice}"))
        }
        _ => None,
    }
}

#[test]
fn every_node_has_a_row_with_all_its_params_and_the_ends_of_their_ranges() {
    let registry = remotemedia_nodes::registry();
    let mut faults = Vec::new();
    for node_type in registry.types() {
        let row = params_of(node_type.name());
        for param in node_type.params() {
            let name = format!("`{}`", param.name());
            match row.split_once(&name) {
                // Those that share a range stand before it, and a semicolon after it.
                Some((_, rest)) => {
                    let fault = missing(param, rest.split(';').next().unwrap_or_default());
                    faults.extend(fault.map(|fault| format!("{}: {name} lacks {fault}", node_type.name())));
                }
                None => faults.push(format!("{} lacks {name}", node_type.name())),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
