//! Taking fields out of a mapping, with errors that say what belongs there.

use std::fmt::Display;

use super::{
    ManifestError, ManifestProblem, Place, Suggestion,
    tree::{Tree, TreeValue, shorten},
};

/// A mapping all of whose fields are known.
pub(super) struct Fields<'t> {
    at: String,
    place: Option<Place>,
    entries: Vec<(&'t str, Option<Place>, &'t Tree)>,
}

impl<'t> Fields<'t> {
    /// The fields of `tree`, which the messages call `at`; any that is not `allowed` is an error.
    pub(super) fn of(
        tree: &'t Tree,
        at: impl Into<String>,
        allowed: &'static [&'static str],
    ) -> Result<Self, ManifestError> {
        let at = at.into();
        let TreeValue::Map(map) = &tree.value else {
            return Err(wrong_type(&at, tree, "a mapping of fields"));
        };
        let mut entries: Vec<(&str, Option<Place>, &Tree)> = Vec::with_capacity(map.len().min(allowed.len()));
        for (key, value) in map {
            let name = key.name.as_str();
            if !allowed.contains(&name) {
                let suggestion = Suggestion::for_name(name, allowed.iter().copied());
                let problem =
                    ManifestProblem::UnknownField { at, field: shorten(name), suggestion, allowed: allowed.to_vec() };
                return Err(ManifestError::new(key.place, problem));
            }
            if let Some((_, first, _)) = entries.iter().find(|(known, ..)| *known == name) {
                let first = first.map_or(0, |place| place.line);
                let problem = ManifestProblem::DuplicateField { at, field: name.to_owned(), first };
                return Err(ManifestError::new(key.place, problem));
            }
            entries.push((name, key.place, value));
        }
        Ok(Self { at, place: tree.place, entries })
    }

    /// The value of a field. A field without a value is as good as none.
    pub(super) fn get(&self, field: &str) -> Option<&'t Tree> {
        let value = self.entries.iter().find(|(name, ..)| *name == field).map(|(.., value)| *value);
        value.filter(|tree| !matches!(tree.value, TreeValue::Null))
    }

    /// The value of a field with two spellings.
    pub(super) fn either(&self, first: &'static str, second: &'static str) -> Result<Option<&'t Tree>, ManifestError> {
        match (self.get(first), self.get(second)) {
            (Some(_), Some(tree)) => {
                let problem = ManifestProblem::TwoSpellings { at: self.at.clone(), first, second };
                Err(ManifestError::new(tree.place, problem))
            }
            (one, other) => Ok(one.or(other)),
        }
    }

    /// `value` or, without one, that `field` is missing.
    pub(super) fn required(
        &self,
        value: Option<&'t Tree>,
        field: &'static str,
        expected: &'static str,
    ) -> Result<&'t Tree, ManifestError> {
        value.ok_or_else(|| {
            let problem = ManifestProblem::MissingField { at: self.at.clone(), field, expected };
            ManifestError::new(self.place, problem)
        })
    }

    /// A text.
    pub(super) fn text(&self, tree: &'t Tree, field: &str) -> Result<&'t str, ManifestError> {
        match &tree.value {
            TreeValue::Text(text) => Ok(text),
            TreeValue::Bool(value) => {
                let words = if *value { "y, yes and on" } else { "n, no and off" };
                let found = format!("{value}; quote it: without quotes YAML reads {words} as {value}");
                let problem = ManifestProblem::WrongType { at: self.name_of(field), expected: "a text", found };
                Err(ManifestError::new(tree.place, problem))
            }
            _ => Err(wrong_type(&self.name_of(field), tree, "a text")),
        }
    }

    /// An optional text.
    pub(super) fn optional_text(&self, field: &str) -> Result<Option<&'t str>, ManifestError> {
        self.get(field).map(|tree| self.text(tree, field)).transpose()
    }

    /// An optional yes or no.
    pub(super) fn optional_bool(&self, field: &str) -> Result<Option<bool>, ManifestError> {
        self.get(field)
            .map(|tree| match tree.value {
                TreeValue::Bool(value) => Ok(value),
                _ => Err(wrong_type(&self.name_of(field), tree, "true or false")),
            })
            .transpose()
    }

    /// An optional whole number from `least` to `most`.
    pub(super) fn optional_number(&self, field: &str, least: u64, most: u64) -> Result<Option<u64>, ManifestError> {
        let Some(tree) = self.get(field) else { return Ok(None) };
        let TreeValue::Number(number) = &tree.value else {
            return Err(wrong_type(&self.name_of(field), tree, "a whole number"));
        };
        match number.as_u64() {
            Some(value) if (least..=most).contains(&value) => Ok(Some(value)),
            _ => Err(self.bad_value(tree, field, number, format!("a whole number from {least} to {most}"))),
        }
    }

    /// An optional one of several names.
    pub(super) fn optional_choice<T: Copy>(
        &self,
        field: &str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, ManifestError> {
        let Some(tree) = self.get(field) else { return Ok(None) };
        let text = self.text(tree, field)?;
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names = || choices.iter().map(|(name, _)| *name);
                let problem = ManifestProblem::BadValue {
                    at: self.name_of(field),
                    value: format!("{:?}", shorten(text)),
                    suggestion: Suggestion::for_name(text, names()),
                    allowed: names().collect::<Vec<_>>().join(", "),
                };
                Err(ManifestError::new(tree.place, problem))
            }
        }
    }

    /// The items of an optional list.
    pub(super) fn list(&self, tree: Option<&'t Tree>, field: &str) -> Result<&'t [Tree], ManifestError> {
        match tree.map(|tree| (tree, &tree.value)) {
            None => Ok(&[]),
            Some((_, TreeValue::List(items))) => Ok(items),
            Some((tree, _)) => Err(wrong_type(&self.name_of(field), tree, "a list")),
        }
    }

    /// That a value is outside of what is allowed.
    pub(super) fn bad_value(
        &self,
        tree: &Tree,
        field: &str,
        value: impl Display,
        allowed: impl Into<String>,
    ) -> ManifestError {
        let problem = ManifestProblem::BadValue {
            at: self.name_of(field),
            value: value.to_string(),
            suggestion: Suggestion::default(),
            allowed: allowed.into(),
        };
        ManifestError::new(tree.place, problem)
    }

    /// How the messages call a field.
    pub(super) fn name_of(&self, field: &str) -> String {
        format!("{}: {field}", self.at)
    }
}

fn wrong_type(at: &str, tree: &Tree, expected: &'static str) -> ManifestError {
    let problem = ManifestProblem::WrongType { at: at.to_owned(), expected, found: tree.describe() };
    ManifestError::new(tree.place, problem)
}
