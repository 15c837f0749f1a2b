//! The param that says which kinds of data a node is for.

use remotemedia_runtime_core::{
    data::KindSet,
    manifest::Suggestion,
    node::{ParamKind, ParamProblem, ParamSpec, Params},
};
use serde_json::Value;

/// The param `kinds`.
pub(super) fn spec(doc: &'static str) -> ParamSpec {
    ParamSpec::new("kinds", ParamKind::Json).doc(doc)
}

/// Its value: a list of names of kinds.
pub(super) fn parse(params: &Params, default: KindSet) -> Result<KindSet, ParamProblem> {
    let Some(value) = params.get("kinds") else { return Ok(default) };
    let names = value.as_array().map(|names| names.iter().map(|name| name.as_str()?.parse().ok()).collect());
    names.flatten().ok_or_else(|| ParamProblem::BadValue {
        param: "kinds",
        value: value.to_string().chars().take(60).collect(),
        suggestion: Suggestion::for_name(first_unknown(value), KindSet::ALL.iter().map(|kind| kind.name())),
        allowed: format!("a list of {}", KindSet::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")),
    })
}

fn first_unknown(value: &Value) -> &str {
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.into_iter().find(|name| KindSet::ALL.iter().all(|kind| kind.name() != *name)).unwrap_or_default()
}
