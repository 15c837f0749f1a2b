use std::fmt;

/// The nearest known name to a mistyped one. Prints as ` (did you mean "NAME"?)` or, without one, as nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion(pub Option<String>);

impl Suggestion {
    /// The one of `known` that `typed` most likely meant: a few slips away, letter case apart.
    pub fn for_name<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        // Nobody mistypes a name into a hundred letters; the distance costs the product of the lengths.
        if typed.len() > 100 {
            return Self(None);
        }
        let typed = typed.to_lowercase();
        let slips = (typed.chars().count() / 3).clamp(1, 4);
        known
            .into_iter()
            .map(|name| (strsim::osa_distance(&typed, &name.to_lowercase()), name))
            .filter(|(distance, _)| *distance <= slips)
            .min_by_key(|(distance, _)| *distance)
            .map_or(Self(None), |(_, name)| Self(Some(name.to_owned())))
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, " (did you mean {name:?}?)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["Echo", "PassThrough", "VideoFlip"];
        let nearest = |typed| Suggestion::for_name(typed, known).0;
        assert_eq!(nearest("echo").as_deref(), Some("Echo"));
        assert_eq!(nearest("VideoFilp").as_deref(), Some("VideoFlip"));
        assert_eq!(nearest("passthru").as_deref(), None);
        assert_eq!(nearest("Whisper"), None);
        assert_eq!(nearest(&"x".repeat(10_000)), None);
    }
}
