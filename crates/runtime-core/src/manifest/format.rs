use std::fmt;

use super::{ManifestError, fields::Fields, tree::Tree};
use crate::data::{DataKind, RuntimeData};

/// What a pipeline says it takes or makes: a kind of data and, for media, its shape. What is `None` may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaFormat {
    /// The kind of data.
    pub kind: DataKind,
    /// Audio: the sample rate in Hz.
    pub sample_rate: Option<u32>,
    /// Audio: the number of channels.
    pub channels: Option<u16>,
    /// Video: the width in pixels.
    pub width: Option<u32>,
    /// Video: the height in pixels.
    pub height: Option<u32>,
}

impl MediaFormat {
    /// Any data of the kind `kind`.
    pub fn any(kind: DataKind) -> Self {
        Self { kind, sample_rate: None, channels: None, width: None, height: None }
    }

    /// The format of `data`, with everything known about it.
    pub fn of(data: &RuntimeData) -> Self {
        let mut format = Self::any(data.kind());
        match data {
            RuntimeData::Audio { frame } => {
                format.sample_rate = Some(frame.sample_rate());
                format.channels = Some(frame.channels());
            }
            RuntimeData::AudioMix { sample_rate, .. } => format.sample_rate = Some(*sample_rate),
            RuntimeData::Video { frame } => {
                format.width = Some(frame.width());
                format.height = Some(frame.height());
            }
            _ => {}
        }
        format
    }

    /// Whether data of the format `other` is of this format too.
    pub fn includes(&self, other: &Self) -> bool {
        fn fits<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        self.kind == other.kind
            && fits(self.sample_rate, other.sample_rate)
            && fits(self.channels, other.channels)
            && fits(self.width, other.width)
            && fits(self.height, other.height)
    }
}

impl fmt::Display for MediaFormat {
    /// For example `audio (48000 Hz, 1 channel)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(rate) = self.sample_rate {
            parts.push(format!("{rate} Hz"));
        }
        if let Some(channels) = self.channels {
            parts.push(format!("{channels} channel{}", if channels == 1 { "" } else { "s" }));
        }
        match (self.width, self.height) {
            (Some(width), Some(height)) => parts.push(format!("{width}x{height}")),
            (Some(width), None) => parts.push(format!("width {width}")),
            (None, Some(height)) => parts.push(format!("height {height}")),
            (None, None) => {}
        }
        self.kind.fmt(f)?;
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

/// The format that an item of `inputs` or `outputs` declares.
pub(super) fn lower(tree: &Tree, list: &'static str) -> Result<MediaFormat, ManifestError> {
    let fields = Fields::of(tree, list, &["type", "sample_rate", "channels", "width", "height"])?;
    let kinds = DataKind::ALL.map(|kind| (kind.name(), kind));
    fields.required(fields.get("type"), "type", "a kind of data, such as \"audio\"")?;
    let Some(kind) = fields.optional_choice("type", &kinds)? else {
        return Err(fields.bad_value(tree, "type", "nothing", "a kind of data"));
    };
    let of_kind: &'static [&'static str] = match kind {
        DataKind::Audio => &["type", "sample_rate", "channels"],
        DataKind::AudioMix => &["type", "sample_rate"],
        DataKind::Video => &["type", "width", "height"],
        _ => &["type"],
    };
    let fields = Fields::of(tree, format!("{list}: {kind}"), of_kind)?;
    Ok(MediaFormat {
        kind,
        sample_rate: fields.optional_number("sample_rate", 1, 384_000)?.map(|rate| rate as u32),
        channels: fields.optional_number("channels", 1, 8)?.map(|channels| channels as u16),
        width: fields.optional_number("width", 1, 16_384)?.map(|width| width as u32),
        height: fields.optional_number("height", 1, 16_384)?.map(|height| height as u32),
    })
}
