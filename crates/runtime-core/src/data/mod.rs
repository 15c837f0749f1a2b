//! What flows through a pipeline.

mod control;
mod kind;
mod tensor;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

pub use control::ControlMessage;
pub use kind::{DataKind, KindSet};
pub use remotemedia_media::{AudioFrame, PixelFormat, VideoFrame};
pub use tensor::{Tensor, TensorError, TensorType};

/// One piece of data on its way through a pipeline.
///
/// Cloning counts references to samples and pixels and never copies them. Every variant has `From` conversions, so that
/// construction is one call:
///
/// ```
/// use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
///
/// let audio: RuntimeData = AudioFrame::new(vec![0.0; 480], 48_000, 1)?.into();
/// assert!(matches!(audio, RuntimeData::Audio { .. }));
/// assert!(matches!(RuntimeData::from("hello"), RuntimeData::Text(text) if text == "hello"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RuntimeData {
    /// A run of audio samples.
    Audio {
        /// Interleaved `f32` samples with their rate and channels.
        frame: Arc<AudioFrame>,
    },
    /// A raw picture.
    Video {
        /// Planes with their pixel format and size.
        frame: Arc<VideoFrame>,
    },
    /// Audio of several sources that sounds at the same time, before it is mixed.
    AudioMix {
        /// One frame per source.
        inputs: Vec<Arc<AudioFrame>>,
        /// The rate in Hz at which the mix is wanted.
        sample_rate: u32,
    },
    /// A JSON value.
    Json(Value),
    /// A text.
    Text(String),
    /// Bytes without a meaning to the runtime.
    Binary(Bytes),
    /// A command or event for nodes and for the program around the pipeline.
    Control(ControlMessage),
    /// A dense array of numbers.
    Tensor(Tensor),
}

impl RuntimeData {
    /// Which kind of data this is.
    pub fn kind(&self) -> DataKind {
        match self {
            Self::Audio { .. } => DataKind::Audio,
            Self::Video { .. } => DataKind::Video,
            Self::AudioMix { .. } => DataKind::AudioMix,
            Self::Json(_) => DataKind::Json,
            Self::Text(_) => DataKind::Text,
            Self::Binary(_) => DataKind::Binary,
            Self::Control(_) => DataKind::Control,
            Self::Tensor(_) => DataKind::Tensor,
        }
    }

    /// The audio frame, if this is one.
    pub fn as_audio(&self) -> Option<&Arc<AudioFrame>> {
        match self {
            Self::Audio { frame } => Some(frame),
            _ => None,
        }
    }

    /// The picture, if this is one.
    pub fn as_video(&self) -> Option<&Arc<VideoFrame>> {
        match self {
            Self::Video { frame } => Some(frame),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The JSON value, if this is one.
    pub fn as_json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }
}

macro_rules! from_conversions {
    ($($from:ty => |$value:ident| $into:expr;)*) => {$(
        impl From<$from> for RuntimeData {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}

from_conversions! {
    AudioFrame => |frame| Self::Audio { frame: Arc::new(frame) };
    Arc<AudioFrame> => |frame| Self::Audio { frame };
    VideoFrame => |frame| Self::Video { frame: Arc::new(frame) };
    Arc<VideoFrame> => |frame| Self::Video { frame };
    Value => |value| Self::Json(value);
    String => |text| Self::Text(text);
    &str => |text| Self::Text(text.to_owned());
    Bytes => |bytes| Self::Binary(bytes);
    Vec<u8> => |bytes| Self::Binary(bytes.into());
    ControlMessage => |message| Self::Control(message);
    Tensor => |tensor| Self::Tensor(tensor);
}
