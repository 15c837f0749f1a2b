use jsonrpsee_types::{Id, Notification, Request, Response, ResponsePayload};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{ErrorCode, MAX_BATCH, RpcError};

/// What one text frame holds.
#[derive(Clone, Debug)]
pub enum Message {
    /// One call, or something that should have been one.
    Single(Result<Call, InvalidCall>),
    /// A batch of 1 to [`MAX_BATCH`] calls, to be answered in order.
    Batch(Vec<Result<Call, InvalidCall>>),
}

/// A request, or a notification if it has no id.
#[derive(Clone, Debug)]
pub struct Call {
    /// A string or a non-negative integer; `None` for a notification, which is never answered.
    pub id: Option<Id<'static>>,
    /// The method's name; not checked.
    pub method: String,
    /// Its parameters; not checked.
    pub params: Params,
}

/// JSON that is no request: to be answered with `error` and `id`.
#[derive(Clone, Debug)]
pub struct InvalidCall {
    /// The id if one could be made out, else null.
    pub id: Id<'static>,
    /// -32600.
    pub error: RpcError,
}

/// The parameters of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Params {
    /// The call has none.
    #[default]
    None,
    /// By name, as every method here wants them.
    Named(Map<String, Value>),
    /// By position: well-formed JSON-RPC, but no method here takes them so.
    Positional,
}

/// One thing that a server sent, as a client reads it.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The answer to the request with that id; the id is null where the server could not make it out.
    Response {
        /// The request's id.
        id: Id<'static>,
        /// Its result, or why there is none.
        outcome: Result<Value, RpcError>,
    },
    /// A push.
    Notification {
        /// The method's name.
        method: String,
        /// Its parameters.
        params: Params,
    },
}

/// Takes a text frame apart.
///
/// # Errors
///
/// -32700 for text that is no JSON, -32600 for an empty batch or one of more than [`MAX_BATCH`] calls: to be answered
/// with a null id.
pub fn parse(text: &str) -> Result<Message, RpcError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| RpcError::new(ErrorCode::Parse, format!("not JSON: {error}")))?;
    let Value::Array(items) = value else { return Ok(Message::Single(parse_call(value))) };
    match items.len() {
        0 => Err(RpcError::new(ErrorCode::InvalidRequest, "an empty batch")),
        1..=MAX_BATCH => Ok(Message::Batch(items.into_iter().map(parse_call).collect())),
        n => Err(RpcError::new(
            ErrorCode::InvalidRequest,
            format!("a batch of {n} calls: split it, {MAX_BATCH} is the most"),
        )),
    }
}

fn parse_call(value: Value) -> Result<Call, InvalidCall> {
    let Value::Object(mut object) = value else {
        return Err(invalid(None, "a request is an object"));
    };
    let id = match object.remove("id") {
        None => None,
        Some(Value::String(id)) => Some(Id::Str(id.into())),
        Some(Value::Number(id)) if id.is_u64() => id.as_u64().map(Id::Number),
        Some(_) => return Err(invalid(None, "an id is a string or a non-negative integer")),
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid(id, "\"jsonrpc\" must be \"2.0\""));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(invalid(id, "\"method\" must be a string"));
    };
    match params_of(object.remove("params")) {
        Some(params) => Ok(Call { id, method, params }),
        None => Err(invalid(id, "\"params\" must be an object")),
    }
}

fn params_of(value: Option<Value>) -> Option<Params> {
    match value {
        None | Some(Value::Null) => Some(Params::None),
        Some(Value::Object(map)) => Some(Params::Named(map)),
        Some(Value::Array(items)) if items.is_empty() => Some(Params::None),
        Some(Value::Array(_)) => Some(Params::Positional),
        Some(_) => None,
    }
}

fn invalid(id: Option<Id<'static>>, message: &str) -> InvalidCall {
    InvalidCall { id: id.unwrap_or(Id::Null), error: RpcError::new(ErrorCode::InvalidRequest, message) }
}

impl Reply {
    /// Takes a frame from a server apart: one reply, or those of a batch. What is neither a response nor a notification
    /// is left out.
    ///
    /// # Errors
    ///
    /// -32700 for text that is no JSON.
    pub fn parse(text: &str) -> Result<Vec<Self>, RpcError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| RpcError::new(ErrorCode::Parse, format!("not JSON: {error}")))?;
        Ok(match value {
            Value::Array(items) => items.into_iter().filter_map(Self::from_value).collect(),
            value => Self::from_value(value).into_iter().collect(),
        })
    }

    fn from_value(value: Value) -> Option<Self> {
        let Value::Object(mut object) = value else { return None };
        if let Some(method) = object.remove("method") {
            let Value::String(method) = method else { return None };
            return Some(Self::Notification { method, params: params_of(object.remove("params"))? });
        }
        let id = match object.remove("id")? {
            Value::String(id) => Id::Str(id.into()),
            Value::Number(id) => Id::Number(id.as_u64()?),
            Value::Null => Id::Null,
            _ => return None,
        };
        let outcome = match object.remove("error") {
            Some(error) => Err(RpcError::from_value(error)?),
            None => Ok(object.remove("result")?),
        };
        Some(Self::Response { id, outcome })
    }
}

/// The text of a notification.
pub fn notification(method: &str, params: &impl Serialize) -> String {
    encode(&Notification::new(method.into(), params))
}

/// The text of a request.
pub fn request(id: Id<'_>, method: &str, params: &impl Serialize) -> String {
    let params = serde_json::value::to_raw_value(params).ok();
    encode(&Request::borrowed(method, params.as_deref(), id))
}

/// The text of a response.
pub fn response(id: &Id<'_>, outcome: Result<Value, RpcError>) -> String {
    let payload = match outcome {
        Ok(result) => ResponsePayload::success(result),
        Err(error) => ResponsePayload::error(error.into_object()),
    };
    encode(&Response::new(payload, id.clone()))
}

/// Everything that goes through here is made of strings, numbers and maps with text keys, which always encode.
fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &str) -> Result<Call, InvalidCall> {
        match parse(text).expect("JSON") {
            Message::Single(call) => call,
            Message::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn text_that_is_no_json_is_a_parse_error() {
        for text in ["", "{", "nonsense", "{\"jsonrpc\":\"2.0\",", "[1,", "\u{0}"] {
            assert_eq!(parse(text).unwrap_err().code, -32700, "{text:?}");
        }
        let deep = "[".repeat(200_000);
        assert_eq!(parse(&deep).unwrap_err().code, -32700, "deep nesting ends in an error, not in a full stack");
    }

    #[test]
    fn json_that_is_no_request_is_an_invalid_request() {
        for text in [
            "1",
            "null",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"peer.ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":5}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"p"}"#,
        ] {
            assert_eq!(single(text).unwrap_err().error.code, -32600, "{text}");
        }
    }

    #[test]
    fn an_invalid_request_is_answered_with_its_id_where_it_has_a_legal_one() {
        assert_eq!(single(r#"{"id":7}"#).unwrap_err().id, Id::Number(7));
        for id in ["-1", "1.5", "null", "true", "[]", "{}", "18446744073709551616"] {
            let call = single(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"peer.ping"}}"#)).unwrap_err();
            assert_eq!(call.id, Id::Null, "{id}");
            assert_eq!(call.error.code, -32600);
        }
    }

    #[test]
    fn a_call_without_an_id_is_a_notification() {
        assert_eq!(single(r#"{"jsonrpc":"2.0","method":"peer.leave"}"#).unwrap().id, None);
        let id = single(r#"{"jsonrpc":"2.0","id":"a","method":"peer.leave"}"#).unwrap().id;
        assert_eq!(id, Some(Id::Str("a".into())));
    }

    #[test]
    fn a_batch_holds_one_to_32_calls() {
        assert_eq!(parse("[]").unwrap_err().code, -32600);
        let batch = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert!(matches!(parse(&batch(32)), Ok(Message::Batch(calls)) if calls.len() == 32));
        assert_eq!(parse(&batch(33)).unwrap_err().code, -32600);
    }

    #[test]
    fn replies_are_read_back() {
        let text = response(&Id::Number(3), Ok(serde_json::json!({"a": 1})));
        let replies = Reply::parse(&text).unwrap();
        assert!(matches!(&replies[..], [Reply::Response { id: Id::Number(3), outcome: Ok(v) }] if v["a"] == 1));

        let text = response(&Id::Null, Err(RpcError::peer_not_found("bob")));
        let Reply::Response { id: Id::Null, outcome: Err(error) } = &Reply::parse(&text).unwrap()[0] else {
            panic!("{text}")
        };
        assert_eq!(error, &RpcError::peer_not_found("bob"));
    }
}
