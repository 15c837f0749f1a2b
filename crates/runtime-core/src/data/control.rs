use std::{sync::Arc, time::Duration};

use serde_json::Value;

/// A command or event that travels in order with the media around it. Cloning counts a reference to the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlMessage {
    /// What the message says, for example `speech_start`.
    pub message_type: Arc<str>,
    /// The stretch of media that it is about, where there is one.
    pub segment_id: Option<Arc<str>>,
    /// Position on the media clock that it is about, where there is one.
    pub timestamp: Option<Duration>,
    /// Further fields; `null` if there are none.
    pub payload: Arc<Value>,
}

impl ControlMessage {
    /// A message of the type `message_type` without further fields.
    pub fn new(message_type: impl Into<Arc<str>>) -> Self {
        Self { message_type: message_type.into(), segment_id: None, timestamp: None, payload: Arc::new(Value::Null) }
    }

    /// The same message with `payload`.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Value>) -> Self {
        self.payload = Arc::new(payload.into());
        self
    }

    /// The same message about `timestamp` on the media clock.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Duration) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}
