//! YAML or JSON as a tree in which everything knows its place.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Error, Location, MessageFormatter, Spanned, budget::BudgetBreach,
};

use super::{ManifestError, ManifestProblem, Place};

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) place: Option<Place>,
    pub(super) value: TreeValue,
}

#[derive(Clone, Debug)]
pub(super) enum TreeValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) place: Option<Place>,
    pub(super) name: String,
}

/// Reads a text that is YAML, of which JSON is a part.
pub(super) fn parse_yaml(text: &str) -> Result<Tree, ManifestError> {
    // Limits for a text that someone else may have written: a pipeline of a thousand nodes stays far below them.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 48,
            max_documents: 1,
            max_nodes: 100_000,
            max_events: 400_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Spanned<TreeValue>>(text, options).map(Tree::from).map_err(syntax)
}

/// Reads a text that is JSON and nothing else.
pub(super) fn parse_json(text: &str) -> Result<Tree, ManifestError> {
    serde_json::from_str::<de::IgnoredAny>(text).map_err(|error| {
        let place = json_place(text, &error);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ManifestError::new(place, ManifestProblem::Syntax { language: "JSON", message })
    })?;
    parse_yaml(text)
}

impl Tree {
    /// The value without its places.
    pub(super) fn to_json(&self) -> Value {
        match &self.value {
            TreeValue::Null => Value::Null,
            TreeValue::Bool(value) => Value::Bool(*value),
            TreeValue::Number(value) => Value::Number(value.clone()),
            TreeValue::Text(value) => Value::String(value.clone()),
            TreeValue::List(items) => items.iter().map(Self::to_json).collect(),
            TreeValue::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect())
            }
        }
    }

    /// The value in a few words, for an error message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            TreeValue::Null => "nothing".to_owned(),
            TreeValue::Bool(value) => format!("{value}"),
            TreeValue::Number(value) => format!("the number {value}"),
            TreeValue::Text(value) => format!("the text {:?}", shorten(value)),
            TreeValue::List(_) => "a list".to_owned(),
            TreeValue::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// The beginning of a text that may be very long.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl From<Spanned<TreeValue>> for Tree {
    fn from(spanned: Spanned<TreeValue>) -> Self {
        Self { place: location(spanned.referenced), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for TreeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = TreeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, a list, a text, a number, true, false or nothing")
    }

    fn visit_unit<E>(self) -> Result<TreeValue, E> {
        Ok(TreeValue::Null)
    }

    fn visit_none<E>(self) -> Result<TreeValue, E> {
        Ok(TreeValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<TreeValue, D::Error> {
        TreeValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<TreeValue, E> {
        Ok(TreeValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<TreeValue, E> {
        Ok(TreeValue::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<TreeValue, E> {
        Ok(TreeValue::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<TreeValue, E> {
        Number::from_f64(value)
            .map(TreeValue::Number)
            .ok_or_else(|| E::custom(format_args!("{value} is not a finite number")))
    }

    fn visit_str<E>(self, value: &str) -> Result<TreeValue, E> {
        Ok(TreeValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<TreeValue, E> {
        Ok(TreeValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TreeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<TreeValue>>()? {
            list.push(item.into());
        }
        Ok(TreeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<TreeValue, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value::<Spanned<TreeValue>>()?;
            map.push((Key { place: location(key.referenced), name: key.value }, value.into()));
        }
        Ok(TreeValue::Map(map))
    }
}

fn syntax(error: Error) -> ManifestError {
    let error = error.without_snippet();
    let message = match error {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "a manifest is one document; remove \"---\" and what follows it".to_owned()
        }
        Error::Budget { .. } => "it is nested too deeply, or too long once its aliases are replaced".to_owned(),
        _ => DefaultMessageFormatter.format_message(error).into_owned(),
    };
    let at = error.location().and_then(location);
    ManifestError::new(at, ManifestProblem::Syntax { language: "YAML", message })
}

/// Where a mistake is, in characters from 1: `serde_json` counts bytes, and says 0 for what should begin a line.
fn json_place(text: &str, error: &serde_json::Error) -> Option<Place> {
    let line = text.split('\n').nth(error.line().checked_sub(1)?)?;
    let is_first_of_character = |byte: &u8| byte & 0xc0 != 0x80;
    let column = line.bytes().take(error.column()).filter(is_first_of_character).count().max(1);
    place(error.line() as u64, column as u64)
}

fn location(location: Location) -> Option<Place> {
    place(location.line(), location.column())
}

fn place(line: u64, column: u64) -> Option<Place> {
    let (line, column) = (u32::try_from(line).ok()?, u32::try_from(column).ok()?);
    (line > 0).then_some(Place { line, column })
}
