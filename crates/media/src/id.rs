use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr, sync::Arc};

/// A participant's name in its room: 1 to 64 characters of `[A-Za-z0-9_-]`.
///
/// Cloning counts a reference. It dereferences to `str` and compares with `&str`.
///
/// ```
/// # use remotemedia_media::PeerId;
/// let bob: PeerId = "bob".parse().unwrap();
/// assert_eq!(bob, "bob");
/// assert_eq!(bob.as_str().len(), 3);
/// assert!("two words".parse::<PeerId>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(Arc<str>);

/// A stream's name among those of one peer: the same alphabet and length as [`PeerId`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Arc<str>);

/// The text is no peer or stream id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid id: use 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'")]
pub struct InvalidPeerId(String);

fn is_valid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

macro_rules! id_type {
    ($name:ident) => {
        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            ///
            /// [`InvalidPeerId`] if the length or a character is not allowed.
            pub fn new(text: &str) -> Result<Self, InvalidPeerId> {
                if is_valid(text) {
                    Ok(Self(text.into()))
                } else {
                    // An id from the network may be megabytes long: an error shows its beginning only.
                    Err(InvalidPeerId(text.chars().take(80).collect()))
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidPeerId;

            fn from_str(text: &str) -> Result<Self, InvalidPeerId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidPeerId;

            fn try_from(text: &str) -> Result<Self, InvalidPeerId> {
                Self::new(text)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

id_type!(PeerId);
id_type!(StreamId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_the_alphabet_and_the_length() {
        for good in ["a", "A-Z_09", &"x".repeat(64)] {
            assert_eq!(PeerId::new(good).unwrap(), good);
        }
        for bad in ["", " ", "ü", "a b", "a.b", &"x".repeat(65)] {
            assert!(PeerId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_never_repeats_a_long_text() {
        let error = PeerId::new(&"y".repeat(1 << 20)).unwrap_err().to_string();
        assert!(error.len() < 300, "{} bytes", error.len());
    }
}
