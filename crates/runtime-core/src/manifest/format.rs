use std::fmt;

use super::{ManifestError, fields::Fields, tree::Tree};
use crate::{
    data::{DataKind, PixelFormat, RuntimeData},
    node::AcceptedFormat,
};

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
    /// Video: how the pixels lie.
    pub pixel_format: Option<PixelFormat>,
}

impl MediaFormat {
    /// Any data of the kind `kind`.
    pub fn any(kind: DataKind) -> Self {
        Self { kind, sample_rate: None, channels: None, width: None, height: None, pixel_format: None }
    }

    /// Audio of this rate in Hz with so many channels.
    pub fn audio(sample_rate: u32, channels: u16) -> Self {
        Self { sample_rate: Some(sample_rate), channels: Some(channels), ..Self::any(DataKind::Audio) }
    }

    /// Pictures of this format and size in pixels.
    pub fn video(pixel_format: PixelFormat, width: u32, height: u32) -> Self {
        let (width, height) = (Some(width), Some(height));
        Self { pixel_format: Some(pixel_format), width, height, ..Self::any(DataKind::Video) }
    }

    /// The format of `data`, with everything known about it.
    pub fn of(data: &RuntimeData) -> Self {
        let mut format = Self::any(data.kind());
        match data {
            RuntimeData::Audio { frame } => format = Self::audio(frame.sample_rate(), frame.channels()),
            RuntimeData::AudioMix { sample_rate, .. } => format.sample_rate = Some(*sample_rate),
            RuntimeData::Video { frame } => format = Self::video(frame.format(), frame.width(), frame.height()),
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
            && fits(self.pixel_format, other.pixel_format)
    }

    /// What this and `other`, of the same kind, say alike.
    pub(crate) fn in_common_with(&self, other: &Self) -> Self {
        fn common<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.filter(|one| other.as_ref() == Some(one))
        }
        Self {
            kind: self.kind,
            sample_rate: common(self.sample_rate, other.sample_rate),
            channels: common(self.channels, other.channels),
            width: common(self.width, other.width),
            height: common(self.height, other.height),
            pixel_format: common(self.pixel_format, other.pixel_format),
        }
    }

    /// What a node would have to take for this to be all that it takes.
    pub(crate) fn as_accepted(&self) -> Option<AcceptedFormat> {
        let mut accepted = match self.kind {
            DataKind::Audio => AcceptedFormat::audio(),
            DataKind::Video => AcceptedFormat::video(),
            _ => return None,
        };
        if let Some(sample_rate) = self.sample_rate {
            accepted = accepted.sample_rate(sample_rate);
        }
        if let Some(channels) = self.channels {
            accepted = accepted.channels(channels);
        }
        if let Some(pixel_format) = self.pixel_format {
            accepted = accepted.pixel_formats([pixel_format]);
        }
        if let Some(width) = self.width {
            accepted = accepted.width(width);
        }
        if let Some(height) = self.height {
            accepted = accepted.height(height);
        }
        Some(accepted)
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
        parts.extend(self.pixel_format.map(|format| format.name().to_owned()));
        self.kind.fmt(f)?;
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

/// The format that an item of `inputs` or `outputs` declares.
pub(super) fn lower(tree: &Tree, list: &'static str) -> Result<MediaFormat, ManifestError> {
    let fields = Fields::of(tree, list, &["type", "sample_rate", "channels", "width", "height", "pixel_format"])?;
    let kinds = DataKind::ALL.map(|kind| (kind.name(), kind));
    fields.required(fields.get("type"), "type", "a kind of data, such as \"audio\"")?;
    let Some(kind) = fields.optional_choice("type", &kinds)? else {
        return Err(fields.bad_value(tree, "type", "nothing", "a kind of data"));
    };
    let of_kind: &'static [&'static str] = match kind {
        DataKind::Audio => &["type", "sample_rate", "channels"],
        DataKind::AudioMix => &["type", "sample_rate"],
        DataKind::Video => &["type", "width", "height", "pixel_format"],
        _ => &["type"],
    };
    let fields = Fields::of(tree, format!("{list}: {kind}"), of_kind)?;
    Ok(MediaFormat {
        kind,
        sample_rate: fields.optional_number("sample_rate", 1, 384_000)?.map(|rate| rate as u32),
        channels: fields.optional_number("channels", 1, 8)?.map(|channels| channels as u16),
        width: fields.optional_number("width", 1, 16_384)?.map(|width| width as u32),
        height: fields.optional_number("height", 1, 16_384)?.map(|height| height as u32),
        pixel_format: fields
            .optional_choice("pixel_format", &PixelFormat::ALL.map(|format| (format.name(), format)))?,
    })
}
