use std::{fmt, str::FromStr};

/// The kinds of [`RuntimeData`](super::RuntimeData), as manifests name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DataKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `audio_mix`
    AudioMix,
    /// `json`
    Json,
    /// `text`
    Text,
    /// `binary`
    Binary,
    /// `control`
    Control,
    /// `tensor`
    Tensor,
}

impl DataKind {
    /// Every kind.
    pub const ALL: [Self; 8] =
        [Self::Audio, Self::Video, Self::AudioMix, Self::Json, Self::Text, Self::Binary, Self::Control, Self::Tensor];

    /// The name in manifests and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::AudioMix => "audio_mix",
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Control => "control",
            Self::Tensor => "tensor",
        }
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataKind {
    type Err = UnknownDataKind;

    fn from_str(text: &str) -> Result<Self, UnknownDataKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownDataKind)
    }
}

/// The text names no kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of data has this name: use audio, video, audio_mix, json, text, binary, control or tensor")]
pub struct UnknownDataKind;

/// A set of kinds of data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindSet(u16);

impl KindSet {
    /// Every kind.
    pub const ALL: Self = Self((1 << DataKind::ALL.len()) - 1);
    /// No kind.
    pub const NONE: Self = Self(0);

    /// The set of `kinds`.
    pub fn of(kinds: &[DataKind]) -> Self {
        kinds.iter().copied().collect()
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: DataKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether the set has no kind.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds of the set that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kinds in the set.
    pub fn iter(self) -> impl Iterator<Item = DataKind> {
        DataKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<DataKind> for KindSet {
    fn from_iter<I: IntoIterator<Item = DataKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8))
    }
}

impl fmt::Display for KindSet {
    /// The names of the kinds, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("anything");
        }
        for (index, kind) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{kind}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KindSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_bit() {
        for kind in DataKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(KindSet::of(&[kind]).iter().collect::<Vec<_>>(), [kind]);
        }
        assert_eq!(KindSet::of(&DataKind::ALL), KindSet::ALL);
        assert_eq!("picture".parse::<DataKind>(), Err(UnknownDataKind));
    }
}
