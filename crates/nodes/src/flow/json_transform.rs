use remotemedia_runtime_core::{
    data::{DataKind, RuntimeData},
    manifest::Suggestion,
    node::{Conversion, Emitter, Node, NodeResult, NodeType, ParamKind, ParamProblem, ParamSpec, Params},
};
use serde_json::{Map, Value};

/// `JsonTransform`: keeps, removes, renames and sets fields of JSON values. Other data passes unchanged.
///
/// Params, in the order in which they work:
/// - `parse_text` (default false): text that is JSON becomes JSON; other text passes as it is;
/// - `pick`, a list of fields to keep, each where it was; fields that are not there are left out. Without it all are kept;
/// - `remove`, a list of fields;
/// - `rename`, an object from fields to their new names, which stay in the same object and replace a field of that name;
/// - `set`, an object that is merged in as RFC 7396 says: objects field by field, `null` removes;
/// - `to_text` (default false): the value becomes text.
///
/// A field is a name at the top or a JSON pointer (RFC 6901) that begins with `/`. What `pick` takes out of arrays moves
/// together. All params change while it runs.
///
/// It fails with [`JsonTransformError`] if fields of a value shall be picked, renamed or set that has none.
#[derive(Clone, Debug, Default)]
pub struct JsonTransform {
    config: JsonTransformConfig,
}

/// What a [`JsonTransform`] does. Fields are names or JSON pointers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonTransformConfig {
    /// Whether text that is JSON becomes JSON.
    pub parse_text: bool,
    /// The fields to keep; `None` keeps all.
    pub pick: Option<Vec<String>>,
    /// The fields to remove.
    pub remove: Vec<String>,
    /// Fields and their new names.
    pub rename: Vec<(String, String)>,
    /// What is merged in.
    pub set: Map<String, Value>,
    /// Whether the value becomes text.
    pub to_text: bool,
}

/// Why a value cannot be transformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonTransformError {
    /// Fields were asked for of a value that is no object.
    #[error(
        "{param:?} works on JSON objects, but {found} came: send objects, or set \"on_error: bypass\" to let others pass"
    )]
    NotAnObject {
        /// The param that cannot do its work.
        param: &'static str,
        /// What came instead.
        found: &'static str,
    },
}

impl JsonTransform {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let json = |name| ParamSpec::new(name, ParamKind::Json);
        NodeType::new("JsonTransform", |params| Ok(Self::new(config(params)?)))
            .describe("Keeps, removes, renames and sets fields of JSON values.")
            .param(ParamSpec::bool("parse_text").default_value(false).doc("Whether text that is JSON becomes JSON."))
            .param(json("pick").doc("A list of the fields to keep; without it all are kept."))
            .param(json("remove").doc("A list of fields to remove."))
            .param(json("rename").doc("An object from fields to their new names."))
            .param(json("set").doc("An object that is merged in."))
            .param(ParamSpec::bool("to_text").default_value(false).doc("Whether the value becomes text."))
            .keeps_format()
            .converts(Conversion::Kind { from: DataKind::Text, to: DataKind::Json, switch: Some("parse_text") })
            .converts(Conversion::Kind { from: DataKind::Json, to: DataKind::Text, switch: Some("to_text") })
    }

    /// Transforms as `config` says.
    pub fn new(config: JsonTransformConfig) -> Self {
        Self { config }
    }

    fn transform(&self, mut value: Value) -> Result<Value, JsonTransformError> {
        let config = &self.config;
        if let Some(fields) = &config.pick {
            if !value.is_object() && !value.is_array() {
                return Err(JsonTransformError::NotAnObject { param: "pick", found: name_of(&value) });
            }
            let paths: Vec<Vec<String>> = fields.iter().map(|field| path(field)).collect();
            let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
            value = pick(value, &paths);
        }
        for field in &config.remove {
            take(&mut value, &path(field));
        }
        if !config.rename.is_empty() && !value.is_object() && !value.is_array() {
            return Err(JsonTransformError::NotAnObject { param: "rename", found: name_of(&value) });
        }
        for (field, name) in &config.rename {
            let mut path = path(field);
            if let Some(Value::Object(_)) = parent(&mut value, &path)
                && let Some(renamed) = take(&mut value, &path)
            {
                path.pop();
                if let Some(Value::Object(fields)) = descend(&mut value, &path) {
                    fields.insert(name.clone(), renamed);
                }
            }
        }
        if !config.set.is_empty() {
            match &mut value {
                Value::Object(fields) => merge(fields, &config.set),
                other => return Err(JsonTransformError::NotAnObject { param: "set", found: name_of(other) }),
            }
        }
        Ok(value)
    }
}

impl Node for JsonTransform {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        let value = match input {
            RuntimeData::Json(value) => value,
            RuntimeData::Text(text) if self.config.parse_text => match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(_) => {
                    out.emit(text);
                    return Ok(());
                }
            },
            other => {
                out.emit(other);
                return Ok(());
            }
        };
        let value = self.transform(value)?;
        if self.config.to_text {
            out.emit(value.to_string());
        } else {
            out.emit(value);
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(config) = config(params) else { return false };
        self.config = config;
        true
    }
}

/// The steps to a field.
fn path(field: &str) -> Vec<String> {
    match field.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
        None => vec![field.to_owned()],
    }
}

/// What `paths` lead to, each where it was.
fn pick(value: Value, paths: &[&[String]]) -> Value {
    if paths.iter().any(|path| path.is_empty()) {
        return value;
    }
    let under = |step: &str| -> Vec<&[String]> {
        paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| *first == step)
            .map(|(_, rest)| rest)
            .collect()
    };
    let keep = |step: &str, value: Value| {
        let paths = under(step);
        let leads_somewhere = paths.iter().any(|path| exists(&value, path));
        leads_somewhere.then(|| pick(value, &paths))
    };
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter_map(|(name, value)| keep(&name, value).map(|value| (name, value))).collect(),
        ),
        Value::Array(items) => Value::Array(
            items.into_iter().enumerate().filter_map(|(index, item)| keep(&index.to_string(), item)).collect(),
        ),
        other => other,
    }
}

fn exists(value: &Value, path: &[String]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    let next = match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => index(step).and_then(|index| items.get(index)),
        _ => None,
    };
    next.is_some_and(|next| exists(next, rest))
}

fn descend<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get_mut(step),
        Value::Array(items) => index(step).and_then(|index| items.get_mut(index)),
        _ => None,
    })
}

fn parent<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    let (_, steps) = path.split_last()?;
    descend(value, steps)
}

/// Takes out what `path` leads to.
fn take(value: &mut Value, path: &[String]) -> Option<Value> {
    let last = path.last()?;
    match parent(value, path)? {
        Value::Object(fields) => fields.remove(last),
        Value::Array(items) => index(last).filter(|index| *index < items.len()).map(|index| items.remove(index)),
        _ => None,
    }
}

/// The index that a step of a pointer means in an array.
fn index(step: &str) -> Option<usize> {
    let is_plain = step == "0" || !step.starts_with(['0', '+']);
    step.parse().ok().filter(|_| is_plain)
}

/// The merge of RFC 7396.
fn merge(fields: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(patch) => {
                let field = fields.entry(name.clone()).or_insert(Value::Null);
                if !field.is_object() {
                    *field = Value::Object(Map::new());
                }
                if let Value::Object(fields) = field {
                    merge(fields, patch);
                }
            }
            other => {
                fields.insert(name.clone(), other.clone());
            }
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn config(params: &Params) -> Result<JsonTransformConfig, ParamProblem> {
    let rename = object(params, "rename", "an object from fields to names")?;
    let renamed = rename.into_iter().map(|(field, name)| match name {
        Value::String(name) => Ok((field, name)),
        other => Err(bad_value("rename", &other, "an object from fields to names")),
    });
    Ok(JsonTransformConfig {
        parse_text: params.bool("parse_text").unwrap_or(false),
        pick: list(params, "pick")?,
        remove: list(params, "remove")?.unwrap_or_default(),
        rename: renamed.collect::<Result<_, _>>()?,
        set: object(params, "set", "an object")?,
        to_text: params.bool("to_text").unwrap_or(false),
    })
}

fn list(params: &Params, param: &'static str) -> Result<Option<Vec<String>>, ParamProblem> {
    let Some(value) = params.get(param) else { return Ok(None) };
    let names = value.as_array().map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    let names: Option<Vec<String>> = names.flatten();
    names.map(Some).ok_or_else(|| bad_value(param, value, "a list of names and JSON pointers"))
}

fn object(params: &Params, param: &'static str, allowed: &str) -> Result<Map<String, Value>, ParamProblem> {
    match params.get(param) {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(other) => Err(bad_value(param, other, allowed)),
    }
}

fn bad_value(param: &'static str, value: &Value, allowed: &str) -> ParamProblem {
    let value = value.to_string().chars().take(60).collect();
    ParamProblem::BadValue { param, value, suggestion: Suggestion::default(), allowed: allowed.to_owned() }
}
