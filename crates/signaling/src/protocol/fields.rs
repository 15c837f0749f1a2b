use remotemedia_media::PeerId;
use serde_json::{Map, Value};

use super::{MAX_REQUEST_ID_CHARS, Params};

/// A parameter is missing, ill-typed or out of range: -32602.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {field:?} {problem}")]
pub struct InvalidField {
    /// The parameter's name.
    pub field: &'static str,
    /// What it should be.
    pub problem: &'static str,
}

/// Reads named parameters; what it does not ask for is ignored.
pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    pub(super) fn of(params: &'a Params) -> Result<Self, InvalidField> {
        match params {
            Params::None => Ok(Self(None)),
            Params::Named(map) => Ok(Self(Some(map))),
            Params::Positional => Err(InvalidField { field: "params", problem: "must be given by name" }),
        }
    }

    pub(super) fn of_map(map: &'a Map<String, Value>) -> Self {
        Self(Some(map))
    }

    /// The value, `None` if it is missing or null.
    pub(super) fn optional(&self, field: &str) -> Option<&'a Value> {
        self.0?.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn required(&self, field: &'static str) -> Result<&'a Value, InvalidField> {
        self.0.and_then(|map| map.get(field)).ok_or(InvalidField { field, problem: "is missing" })
    }

    pub(super) fn string(&self, field: &'static str) -> Result<&'a str, InvalidField> {
        self.required(field)?.as_str().ok_or(InvalidField { field, problem: "must be a string" })
    }

    pub(super) fn optional_string(&self, field: &'static str) -> Result<Option<&'a str>, InvalidField> {
        let problem = InvalidField { field, problem: "must be a string" };
        self.optional(field).map(|value| value.as_str().ok_or(problem)).transpose()
    }

    /// A string that may be null but must be there.
    pub(super) fn nullable_string(&self, field: &'static str) -> Result<Option<&'a str>, InvalidField> {
        self.required(field)?;
        self.optional_string(field)
    }

    pub(super) fn boolean(&self, field: &'static str) -> Result<bool, InvalidField> {
        self.required(field)?.as_bool().ok_or(InvalidField { field, problem: "must be true or false" })
    }

    /// An index that may be null but must be there.
    pub(super) fn nullable_index(&self, field: &'static str) -> Result<Option<u16>, InvalidField> {
        let problem = InvalidField { field, problem: "must be an integer from 0 to 65535, or null" };
        self.required(field)?;
        self.optional(field)
            .map(|value| value.as_u64().and_then(|index| u16::try_from(index).ok()).ok_or(problem))
            .transpose()
    }

    pub(super) fn peer_id(&self, field: &'static str) -> Result<PeerId, InvalidField> {
        PeerId::new(self.string(field)?).map_err(|_| InvalidField {
            field,
            problem: "must be 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
        })
    }

    pub(super) fn request_id(&self) -> Result<String, InvalidField> {
        checked_request_id(self.string("request_id")?)
    }

    pub(super) fn optional_request_id(&self) -> Result<Option<String>, InvalidField> {
        self.optional_string("request_id")?.map(checked_request_id).transpose()
    }
}

fn checked_request_id(text: &str) -> Result<String, InvalidField> {
    if text.is_empty() || text.chars().nth(MAX_REQUEST_ID_CHARS).is_some() {
        return Err(InvalidField { field: "request_id", problem: "must be 1 to 64 characters" });
    }
    Ok(text.to_owned())
}
