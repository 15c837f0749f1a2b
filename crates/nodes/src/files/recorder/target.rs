//! Where a recording goes: a path with placeholders.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use remotemedia_codecs::{feature_of, is_built};
use remotemedia_media::{Codec, PeerId, StreamId};
use remotemedia_runtime_core::node::ParamProblem;
use time::OffsetDateTime;

use super::RecorderError;

/// How often a name is tried with the next number.
const MOST_NUMBERS: u32 = 10_000;

/// What kind of file a path names, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    OggOpus,
    Ivf,
    Y4m,
    WebM,
}

impl Container {
    fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "wav" => Self::Wav,
            "ogg" | "opus" => Self::OggOpus,
            "ivf" => Self::Ivf,
            "y4m" => Self::Y4m,
            "webm" => Self::WebM,
            _ => return None,
        })
    }

    fn needs(self) -> &'static [Codec] {
        match self {
            Self::Wav | Self::Y4m => &[],
            Self::OggOpus => &[Codec::Opus],
            Self::Ivf => &[Codec::Vp8],
            Self::WebM => &[Codec::Vp8, Codec::Opus],
        }
    }
}

/// A path as a manifest gives it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) container: Container,
    folder: PathBuf,
    /// The file name without its ending, with placeholders.
    stem: String,
    ending: String,
}

impl Target {
    /// Checks `path`, which the param `param` gives and which may name one of `allowed`.
    pub(super) fn new(param: &'static str, path: &str, allowed: &[Container]) -> Result<Self, ParamProblem> {
        let unusable = |reason: String| ParamProblem::Unusable { param, value: path.to_owned(), reason };
        let whole = Path::new(path);
        let container = Container::of(whole).filter(|container| allowed.contains(container)).ok_or_else(|| {
            let endings = if param == "audio" { ".wav, .ogg or .opus" } else { ".webm, .ivf or .y4m" };
            unusable(format!("the name must end in {endings}"))
        })?;
        if let Some(codec) = container.needs().iter().find(|codec| !is_built(**codec)) {
            let feature = feature_of(*codec);
            return Err(unusable(format!("{codec} is not part of this build: turn on the cargo feature {feature:?}")));
        }
        let folder = match whole.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if folder.to_string_lossy().contains(['{', '}']) {
            return Err(unusable("placeholders are for the name of the file, not for its folder".to_owned()));
        }
        if !folder.is_dir() {
            return Err(unusable(format!("the folder {} does not exist: create it first", folder.display())));
        }
        let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        let target = Self { container, folder, stem: text(whole.file_stem()), ending: text(whole.extension()) };
        let plain =
            ["{peer}", "{stream}", "{time}"].iter().fold(target.stem.clone(), |stem, known| stem.replace(known, ""));
        if plain.contains(['{', '}']) {
            return Err(unusable("the placeholders are {peer}, {stream} and {time}".to_owned()));
        }
        Ok(target)
    }

    /// The name of the file for a stream, but for `{time}`. Streams with the same name share a file.
    pub(super) fn name(&self, source: Option<&PeerId>, stream: Option<&StreamId>) -> String {
        let (source, stream) = (source.map_or("local", |id| id), stream.map_or("main", |id| id));
        self.stem.replace("{peer}", source).replace("{stream}", stream)
    }

    /// Creates the file `name`, or one with a number behind it if there is one already: nothing is ever overwritten.
    /// `number` is the first to try, 1 standing for none, and is left at the next to try.
    pub(super) fn create(&self, name: &str, number: &mut u32) -> Result<(PathBuf, File), RecorderError> {
        let now = OffsetDateTime::now_utc();
        let time = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            now.year(),
            u8::from(now.month()),
            now.day(),
            now.hour(),
            now.minute(),
            now.second()
        );
        let name = name.replace("{time}", &time);
        while *number <= MOST_NUMBERS {
            let suffix = if *number == 1 { String::new() } else { format!("-{number}") };
            let path = self.folder.join(format!("{name}{suffix}.{}", self.ending));
            *number += 1;
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(RecorderError::Write { path: path.display().to_string(), source }),
            }
        }
        Err(RecorderError::NoFreeName { path: self.display() })
    }

    /// The path as it was given.
    pub(super) fn display(&self) -> String {
        self.folder.join(format!("{}.{}", self.stem, self.ending)).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: [Container; 2] = [Container::Wav, Container::OggOpus];

    fn refusal(path: &str) -> String {
        Target::new("audio", path, &AUDIO).unwrap_err().to_string()
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_with_the_remedy() {
        assert!(refusal("/no/such/folder/a.wav").contains("/no/such/folder does not exist: create it"));
        assert!(refusal("a.mp3").contains("must end in .wav"));
        assert!(refusal("a.ivf").contains("must end in .wav"));
        assert!(refusal("{who}.wav").contains("{peer}, {stream} and {time}"));
        assert!(refusal("/tmp/{peer}/a.wav").contains("not for its folder"));
    }

    #[test]
    fn placeholders_become_the_names_of_peer_and_stream() {
        let target = Target::new("audio", "call-{peer}-{stream}.WAV", &AUDIO).unwrap();
        let (bob, music) = ("bob".parse().unwrap(), "music".parse().unwrap());
        assert_eq!(target.name(Some(&bob), Some(&music)), "call-bob-music");
        assert_eq!(target.name(None, None), "call-local-main");
    }

    #[test]
    fn no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        std::fs::write(&path, "mine").unwrap();
        let target = Target::new("audio", path.to_str().unwrap(), &AUDIO).unwrap();
        let (created, _) = target.create("a", &mut 1).unwrap();
        assert_eq!(created, folder.path().join("a-2.wav"));
        assert_eq!(std::fs::read(path).unwrap(), b"mine");
    }

    #[test]
    fn the_time_is_that_of_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("{time}.wav");
        let target = Target::new("audio", path.to_str().unwrap(), &AUDIO).unwrap();
        let (created, _) = target.create(&target.name(None, None), &mut 1).unwrap();
        let name = created.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("20") && name.len() == 16 && name.ends_with('Z'), "{name}");
    }
}
