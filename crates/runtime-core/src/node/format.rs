//! Which media a node type takes, and what changes them.

use std::{fmt, ops::RangeInclusive};

use serde_json::Value;

use crate::{
    data::{DataKind, PixelFormat},
    manifest::MediaFormat,
};

/// Audio or video of a shape that a node type takes. What is not restricted may be anything.
///
/// ```
/// use remotemedia_runtime_core::node::{AcceptedFormat, NodeType};
///
/// // A recogniser that knows telephone and wide band, one channel.
/// let node_type = NodeType::from_fn("Recognise", |_, _| Ok(()))
///     .takes(AcceptedFormat::audio().sample_rate([8_000, 16_000]).channels(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedFormat {
    kind: DataKind,
    sample_rate: Allowed<u32>,
    channels: Allowed<u16>,
    /// Empty for any.
    pixel_formats: Vec<PixelFormat>,
    width: Allowed<u32>,
    height: Allowed<u32>,
}

/// Numbers that are allowed; made of a number, a range or an array of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowed<T> {
    /// Every number.
    #[default]
    Any,
    /// Those from one to another, both included.
    Within(RangeInclusive<T>),
    /// These.
    OneOf(Vec<T>),
}

impl AcceptedFormat {
    /// Any audio frame. Frames of an audio mix are not restricted: their formats are not known before they come.
    pub fn audio() -> Self {
        Self::any(DataKind::Audio)
    }

    /// Any picture.
    pub fn video() -> Self {
        Self::any(DataKind::Video)
    }

    fn any(kind: DataKind) -> Self {
        Self {
            kind,
            sample_rate: Allowed::Any,
            channels: Allowed::Any,
            pixel_formats: Vec::new(),
            width: Allowed::Any,
            height: Allowed::Any,
        }
    }

    /// The same with sample rates in Hz: one, a range or an array.
    #[must_use]
    pub fn sample_rate(mut self, rates: impl Into<Allowed<u32>>) -> Self {
        self.sample_rate = rates.into();
        self
    }

    /// The same with numbers of channels: one, a range or an array.
    #[must_use]
    pub fn channels(mut self, channels: impl Into<Allowed<u16>>) -> Self {
        self.channels = channels.into();
        self
    }

    /// The same with these pixel formats.
    #[must_use]
    pub fn pixel_formats(mut self, formats: impl Into<Vec<PixelFormat>>) -> Self {
        self.pixel_formats = formats.into();
        self
    }

    /// The same with widths in pixels: one, a range or an array.
    #[must_use]
    pub fn width(mut self, widths: impl Into<Allowed<u32>>) -> Self {
        self.width = widths.into();
        self
    }

    /// The same with heights in pixels: one, a range or an array.
    #[must_use]
    pub fn height(mut self, heights: impl Into<Allowed<u32>>) -> Self {
        self.height = heights.into();
        self
    }

    /// The kind of data that it is about.
    pub fn kind(&self) -> DataKind {
        self.kind
    }

    /// Whether media of the format `format` is of this format, as far as that is known.
    pub fn accepts(&self, format: &MediaFormat) -> bool {
        self.kind == format.kind
            && self.sample_rate.allows(format.sample_rate)
            && self.channels.allows(format.channels)
            && (self.pixel_formats.is_empty()
                || format.pixel_format.is_none_or(|found| self.pixel_formats.contains(&found)))
            && self.width.allows(format.width)
            && self.height.allows(format.height)
    }

    /// What would have to change for `format` to be accepted: the nearest that is allowed.
    pub(crate) fn changes(&self, format: &MediaFormat) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.sample_rate.nearest(format.sample_rate).map(Change::SampleRate));
        changes.extend(self.channels.nearest(format.channels).map(Change::Channels));
        let is_wrong = format.pixel_format.is_some_and(|found| !self.pixel_formats.contains(&found));
        changes.extend(self.pixel_formats.first().filter(|_| is_wrong).map(|wanted| Change::PixelFormat(*wanted)));
        match (self.width.nearest_even(format.width), self.height.nearest_even(format.height)) {
            (None, None) => {}
            (width, height) => changes.push(Change::Size { width, height }),
        }
        changes
    }
}

/// Whether a node that takes `accepted` takes `format`: where nothing is said about its kind, or one of them fits.
pub(crate) fn is_taken(accepted: &[AcceptedFormat], format: &MediaFormat) -> bool {
    let mut of_kind = accepted.iter().filter(|accepted| accepted.kind == format.kind).peekable();
    of_kind.peek().is_none() || of_kind.any(|accepted| accepted.accepts(format))
}

/// What has to change in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    SampleRate(u32),
    Channels(u16),
    PixelFormat(PixelFormat),
    Size { width: Option<u32>, height: Option<u32> },
    Kind { from: DataKind, to: DataKind },
}

/// What a node type is there to change, for errors that say which node is missing. Each names the param that says into
/// what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conversion {
    /// The sample rate of audio, to the Hz in this param.
    SampleRate(&'static str),
    /// The number of channels of audio, to that in this param.
    Channels(&'static str),
    /// The pixel format of video, to the [name](PixelFormat::name) in this param.
    PixelFormat(&'static str),
    /// The size of video, to the pixels in these params.
    Size {
        /// The param for the width.
        width: &'static str,
        /// The param for the height.
        height: &'static str,
    },
    /// One kind of data, to another.
    Kind {
        /// The kind that comes.
        from: DataKind,
        /// The kind that is made of it.
        to: DataKind,
        /// The param that has to be `true` for it, if one has to.
        switch: Option<&'static str>,
    },
}

impl Conversion {
    /// The params with which it makes `change`; `None` if it changes something else.
    pub(crate) fn params_for(self, change: Change) -> Option<Vec<(&'static str, Value)>> {
        Some(match (self, change) {
            (Self::SampleRate(param), Change::SampleRate(rate)) => vec![(param, rate.into())],
            (Self::Channels(param), Change::Channels(channels)) => vec![(param, channels.into())],
            (Self::PixelFormat(param), Change::PixelFormat(format)) => vec![(param, format.name().into())],
            (Self::Size { width, height }, Change::Size { width: wide, height: high }) => {
                let sides = [(width, wide), (height, high)];
                sides.into_iter().filter_map(|(param, side)| Some((param, side?.into()))).collect()
            }
            (Self::Kind { from, to, switch }, Change::Kind { from: found, to: wanted })
                if (from, to) == (found, wanted) =>
            {
                switch.map(|switch| (switch, true.into())).into_iter().collect()
            }
            _ => return None,
        })
    }
}

/// A node that would convert, with its params.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converter {
    /// The node's type.
    pub node_type: String,
    /// The params that it takes to convert, by name.
    pub params: Vec<(&'static str, Value)>,
}

impl fmt::Display for Converter {
    /// For example `a Resample with sample_rate: 16000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.node_type.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
        write!(f, "{article} {}", self.node_type)?;
        for (index, (param, value)) in self.params.iter().enumerate() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write!(f, "{} {param}: {value}", if index == 0 { " with" } else { "," })?;
        }
        Ok(())
    }
}

impl<T: Copy + PartialOrd + fmt::Display + Into<u32>> Allowed<T> {
    /// Whether `value`, where it is known, is allowed.
    fn allows(&self, value: Option<T>) -> bool {
        let Some(value) = value else { return true };
        match self {
            Self::Any => true,
            Self::Within(range) => range.contains(&value),
            Self::OneOf(values) => values.contains(&value),
        }
    }

    /// The allowed number that is nearest to one that is not; `None` if that is allowed or not known.
    fn nearest(&self, value: Option<T>) -> Option<T> {
        let value = value.filter(|_| !self.allows(value))?;
        match self {
            Self::Any => None,
            Self::Within(range) if range.is_empty() => None,
            Self::Within(range) => Some(if value < *range.start() { *range.start() } else { *range.end() }),
            Self::OneOf(values) => {
                values.iter().copied().min_by_key(|allowed| (*allowed).into().abs_diff(value.into()))
            }
        }
    }

    /// As [`Allowed::nearest`], and even where that is allowed: most pictures have chroma of half their size.
    fn nearest_even(&self, value: Option<T>) -> Option<T>
    where
        T: TryFrom<u32>,
    {
        let nearest = self.nearest(value)?;
        let side: u32 = nearest.into();
        let beside = [side.next_multiple_of(2), side & !1].into_iter().filter_map(|side| T::try_from(side).ok());
        Some(beside.into_iter().find(|even| self.allows(Some(*even))).unwrap_or(nearest))
    }

    /// In words, with `unit` behind; `None` for any.
    fn in_words(&self, unit: &str) -> Option<String> {
        let list = |values: &[T]| match values {
            [] => "no".to_owned(),
            [one] => one.to_string(),
            [others @ .., last] => {
                let others: Vec<String> = others.iter().map(T::to_string).collect();
                format!("{} or {last}", others.join(", "))
            }
        };
        let numbers = match self {
            Self::Any => return None,
            Self::Within(range) if range.start() == range.end() => range.start().to_string(),
            Self::Within(range) => format!("{} to {}", range.start(), range.end()),
            Self::OneOf(values) => list(values),
        };
        Some(format!("{numbers} {unit}"))
    }
}

impl fmt::Display for AcceptedFormat {
    /// For example `audio (8000 to 192000 Hz, 1 or 2 channels)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_channel = Allowed::<u16>::OneOf(vec![1]);
        let channel = if self.channels == one_channel { "channel" } else { "channels" };
        let mut parts = Vec::new();
        parts.extend(self.sample_rate.in_words("Hz"));
        parts.extend(self.channels.in_words(channel));
        if !self.pixel_formats.is_empty() {
            let names: Vec<&str> = self.pixel_formats.iter().map(|format| format.name()).collect();
            parts.push(names.join(" or "));
        }
        parts.extend(self.width.in_words("pixels").map(|numbers| format!("width {numbers}")));
        parts.extend(self.height.in_words("pixels").map(|numbers| format!("height {numbers}")));
        self.kind.fmt(f)?;
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

impl<T> From<T> for Allowed<T> {
    fn from(value: T) -> Self {
        Self::OneOf(vec![value])
    }
}

impl<T> From<RangeInclusive<T>> for Allowed<T> {
    fn from(range: RangeInclusive<T>) -> Self {
        Self::Within(range)
    }
}

impl<T, const N: usize> From<[T; N]> for Allowed<T> {
    fn from(values: [T; N]) -> Self {
        Self::OneOf(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(sample_rate: Option<u32>, channels: Option<u16>) -> MediaFormat {
        MediaFormat { sample_rate, channels, ..MediaFormat::any(DataKind::Audio) }
    }

    #[test]
    fn what_is_not_known_is_accepted_and_what_is_wrong_has_a_nearest() {
        let accepted = AcceptedFormat::audio().sample_rate([8_000, 16_000]).channels(1..=2);
        assert!(accepted.accepts(&audio(None, None)) && accepted.accepts(&audio(Some(8_000), Some(2))));
        assert_eq!(accepted.changes(&audio(Some(16_000), None)), []);
        assert_eq!(accepted.changes(&audio(Some(48_000), Some(6))), [Change::SampleRate(16_000), Change::Channels(2)]);
    }

    #[test]
    fn several_formats_of_a_kind_are_alternatives_and_other_kinds_are_free() {
        let accepted = [
            AcceptedFormat::audio().sample_rate(16_000).channels(1),
            AcceptedFormat::audio().sample_rate(48_000).channels(2),
        ];
        assert!(is_taken(&accepted, &audio(Some(48_000), Some(2))));
        assert!(!is_taken(&accepted, &audio(Some(16_000), Some(2))));
        assert!(is_taken(&accepted, &MediaFormat::any(DataKind::Video)));
    }

    #[test]
    fn formats_read_well() {
        let words = |format: AcceptedFormat| format.to_string();
        assert_eq!(words(AcceptedFormat::audio()), "audio");
        assert_eq!(words(AcceptedFormat::audio().sample_rate(16_000).channels(1)), "audio (16000 Hz, 1 channel)");
        assert_eq!(
            words(AcceptedFormat::audio().sample_rate(8_000..=192_000).channels([1, 2, 6])),
            "audio (8000 to 192000 Hz, 1, 2 or 6 channels)"
        );
        assert_eq!(
            words(AcceptedFormat::video().pixel_formats([PixelFormat::I420, PixelFormat::Nv12]).width(16..=64)),
            "video (i420 or nv12, width 16 to 64 pixels)"
        );
    }
}
