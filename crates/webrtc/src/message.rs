use bytes::Bytes;
use remotemedia_mesh::Message;

/// A message over a data channel.
///
/// JSON travels as text. A text that holds a JSON object or array arrives as [`DataChannelMessage::Json`], whoever sent
/// it, so that a browser's `channel.send(JSON.stringify(…))` is understood; every other text, and one above 1 MiB, arrives as it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DataChannelMessage {
    /// A JSON value.
    Json {
        /// The value.
        payload: serde_json::Value,
    },
    /// A text.
    Text {
        /// The text.
        payload: String,
    },
    /// Bytes.
    Binary {
        /// The bytes.
        payload: Vec<u8>,
    },
}

impl DataChannelMessage {
    pub(crate) fn to_wire(&self) -> Message {
        match self {
            Self::Json { payload } => Message::Text(payload.to_string()),
            Self::Text { payload } => Message::Text(payload.clone()),
            Self::Binary { payload } => Message::Binary(Bytes::copy_from_slice(payload)),
        }
    }

    pub(crate) fn from_wire(message: Message) -> Self {
        match message {
            Message::Text(text) => match json_container(&text) {
                Some(payload) => Self::Json { payload },
                None => Self::Text { payload: text },
            },
            Message::Binary(payload) => Self::Binary { payload: payload.into() },
        }
    }
}

/// A parsed value takes many times the room of its text: a larger text is left to whoever wants to parse it.
const MOST_JSON: usize = 1 << 20;

fn json_container(text: &str) -> Option<serde_json::Value> {
    if text.len() > MOST_JSON {
        return None;
    }
    let first = text.trim_start().as_bytes().first()?;
    if *first != b'{' && *first != b'[' {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_arrays_arrive_as_json_and_other_texts_as_they_are() {
        let json = DataChannelMessage::from_wire(Message::Text(r#" {"a": [1]}"#.into()));
        assert_eq!(json, DataChannelMessage::Json { payload: serde_json::json!({"a": [1]}) });
        for text in ["", "5", "\"quoted\"", "{not json", "null"] {
            assert_eq!(
                DataChannelMessage::from_wire(Message::Text(text.into())),
                DataChannelMessage::Text { payload: text.into() }
            );
        }
    }
}
