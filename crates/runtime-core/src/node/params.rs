//! What a node type can be told in a manifest, and the check of what it was told.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::manifest::{Place, Suggestion};

/// Params as written, each with its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawParams(Vec<(String, Value, Option<Place>)>);

impl RawParams {
    pub(crate) fn push(&mut self, name: String, value: Value, place: Option<Place>) {
        self.0.push((name, value, place));
    }

    pub(crate) fn first(&self) -> Option<(&str, Option<Place>)> {
        self.0.first().map(|(name, _, place)| (name.as_str(), *place))
    }

    /// The place of a param, if it is there.
    pub(crate) fn place_of(&self, param: &str) -> Option<Option<Place>> {
        self.0.iter().find(|(name, ..)| name == param).map(|(.., place)| *place)
    }

    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect())
    }

    pub(crate) fn from_json(map: Map<String, Value>) -> Self {
        Self(map.into_iter().map(|(name, value)| (name, value, None)).collect())
    }
}

/// Checked params of a node, with defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Map<String, Value>);

impl Params {
    /// Checks `raw` against what `specs` allow and fills in their defaults.
    pub(crate) fn check(specs: &[ParamSpec], raw: &RawParams) -> Result<Self, ParamProblem> {
        let mut values = Map::new();
        for (name, value, _) in &raw.0 {
            let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                let names = || specs.iter().map(|spec| spec.name);
                return Err(ParamProblem::Unknown {
                    param: name.chars().take(60).collect(),
                    suggestion: Suggestion::for_name(name, names()),
                    allowed: if specs.is_empty() { "none".to_owned() } else { names().collect::<Vec<_>>().join(", ") },
                });
            };
            if !value.is_null() {
                spec.check(value)?;
                values.insert(name.clone(), value.clone());
            }
        }
        for spec in specs {
            if values.contains_key(spec.name) {
                continue;
            }
            if let Some(default) = &spec.default {
                values.insert(spec.name.to_owned(), default.clone());
            } else if spec.required {
                return Err(ParamProblem::Missing { param: spec.name, expected: spec.allowed() });
            }
        }
        Ok(Self(values))
    }

    /// The value of a param, as given or by default.
    pub fn get(&self, param: &str) -> Option<&Value> {
        self.0.get(param)
    }

    /// The value of a number.
    pub fn number(&self, param: &str) -> Option<f64> {
        self.get(param)?.as_f64()
    }

    /// The value of a whole number.
    pub fn integer(&self, param: &str) -> Option<i64> {
        self.get(param)?.as_i64()
    }

    /// The value of a yes or no.
    pub fn bool(&self, param: &str) -> Option<bool> {
        self.get(param)?.as_bool()
    }

    /// The value of a text or a choice.
    pub fn text(&self, param: &str) -> Option<&str> {
        self.get(param)?.as_str()
    }

    /// All values as one JSON object.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// One thing a node type can be told.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    name: &'static str,
    kind: ParamKind,
    default: Option<Value>,
    required: bool,
    unit: Option<&'static str>,
    doc: &'static str,
}

/// Which values a param takes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParamKind {
    /// A number in a range.
    Number(RangeInclusive<f64>),
    /// A whole number in a range.
    Integer(RangeInclusive<i64>),
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// One of several texts.
    Choice(Vec<&'static str>),
    /// Any JSON value; the node type checks it itself.
    Json,
}

impl ParamSpec {
    /// A param of the given kind, optional and without a default.
    pub fn new(name: &'static str, kind: ParamKind) -> Self {
        Self { name, kind, default: None, required: false, unit: None, doc: "" }
    }

    /// A number in `range`.
    pub fn number(name: &'static str, range: RangeInclusive<f64>) -> Self {
        Self::new(name, ParamKind::Number(range))
    }

    /// A whole number in `range`.
    pub fn integer(name: &'static str, range: RangeInclusive<i64>) -> Self {
        Self::new(name, ParamKind::Integer(range))
    }

    /// `true` or `false`.
    pub fn bool(name: &'static str) -> Self {
        Self::new(name, ParamKind::Bool)
    }

    /// Any text.
    pub fn text(name: &'static str) -> Self {
        Self::new(name, ParamKind::Text)
    }

    /// One of `choices`.
    pub fn choice(name: &'static str, choices: impl Into<Vec<&'static str>>) -> Self {
        Self::new(name, ParamKind::Choice(choices.into()))
    }

    /// The same param with a value for manifests that give none.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The same param, which every manifest must give.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same param with its unit, for example `dB`.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The same param with a sentence that says what it does.
    #[must_use]
    pub fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// The name in manifests.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Which values it takes.
    pub fn kind(&self) -> &ParamKind {
        &self.kind
    }

    /// The value for manifests that give none, if there is one.
    pub fn value_by_default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The unit of its values, if they have one, for example `dB`.
    pub fn unit_name(&self) -> Option<&'static str> {
        self.unit
    }

    /// What it does.
    pub fn description(&self) -> &'static str {
        self.doc
    }

    /// The values it takes, in words.
    pub fn allowed(&self) -> String {
        let unit = self.unit.map_or_else(String::new, |unit| format!(" {unit}"));
        match &self.kind {
            ParamKind::Number(range) => format!("a number from {} to {}{unit}", range.start(), range.end()),
            ParamKind::Integer(range) => format!("a whole number from {} to {}{unit}", range.start(), range.end()),
            ParamKind::Bool => "true or false".to_owned(),
            ParamKind::Text => "a text".to_owned(),
            ParamKind::Choice(choices) => choices.join(", "),
            ParamKind::Json => "any value".to_owned(),
        }
    }

    fn check(&self, value: &Value) -> Result<(), ParamProblem> {
        let fits = match &self.kind {
            ParamKind::Number(range) => value.as_f64().is_some_and(|value| range.contains(&value)),
            ParamKind::Integer(range) => value.as_i64().is_some_and(|value| range.contains(&value)),
            ParamKind::Bool => value.is_boolean(),
            ParamKind::Text => value.is_string(),
            ParamKind::Choice(choices) => value.as_str().is_some_and(|value| choices.contains(&value)),
            ParamKind::Json => true,
        };
        if fits {
            return Ok(());
        }
        let suggestion = match (&self.kind, value.as_str()) {
            (ParamKind::Choice(choices), Some(typed)) => Suggestion::for_name(typed, choices.iter().copied()),
            _ => Suggestion::default(),
        };
        let value = value.to_string().chars().take(60).collect();
        Err(ParamProblem::BadValue { param: self.name, value, suggestion, allowed: self.allowed() })
    }
}

/// What is wrong with a node's params.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamProblem {
    /// The node type has no such param.
    #[error("unknown param {param:?}{suggestion}; allowed here: {allowed}")]
    Unknown {
        /// The param.
        param: String,
        /// The nearest that exists.
        suggestion: Suggestion,
        /// Those that exist.
        allowed: String,
    },
    /// The value is not allowed.
    #[error("param {param:?}: {value} is not allowed{suggestion}; use {allowed}")]
    BadValue {
        /// The param.
        param: &'static str,
        /// Its value.
        value: String,
        /// The nearest allowed value.
        suggestion: Suggestion,
        /// What is allowed.
        allowed: String,
    },
    /// A param that must be given is not.
    #[error("the param {param:?} is missing; use {expected}")]
    Missing {
        /// The param.
        param: &'static str,
        /// What it takes.
        expected: String,
    },
    /// Two params exclude each other.
    #[error("the params {first:?} and {second:?} exclude each other; keep one")]
    Exclusive {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The value has the right form, but what it names cannot be used, for example a file that is not there.
    #[error("param {param:?}: {value:?} cannot be used: {reason}")]
    Unusable {
        /// The param.
        param: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
}

impl ParamProblem {
    /// The param that it is about.
    pub fn param(&self) -> &str {
        match self {
            Self::Unknown { param, .. } => param,
            Self::BadValue { param, .. } | Self::Missing { param, .. } | Self::Unusable { param, .. } => param,
            Self::Exclusive { second, .. } => second,
        }
    }
}
