//! Files that are not what they seem.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use proptest::prelude::*;
use remotemedia_codecs::{
    is_built,
    test_media::{Clip, Speech},
};
use remotemedia_media::{AudioFrame, Codec};
use remotemedia_runtime_core::node::process_once;

use super::source;
use crate::files::{Recorder, RecorderSettings};

/// One small file of every format that this build writes.
fn files() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let record = |name: &str, vp9: bool| {
            let path = folder.path().join(name);
            let text = path.to_str().unwrap();
            let is_audio = name.ends_with("wav") || name.ends_with("ogg");
            let settings = if is_audio { RecorderSettings::audio(text) } else { RecorderSettings::video(text) };
            let settings = if vp9 { settings.unwrap().with_vp9() } else { settings.unwrap() };
            let mut recorder = Recorder::new(settings);
            for number in 0..6_u32 {
                let at = Duration::from_millis(40) * number;
                let sound = Speech::new(u64::from(number), 48_000).samples(1_920);
                process_once(&mut recorder, AudioFrame::new(sound, 48_000, 1).unwrap().with_timestamp(at)).unwrap();
                process_once(&mut recorder, Clip::new(1, 64, 48).frame(number.into()).with_timestamp(at)).unwrap();
            }
            drop(recorder);
            std::fs::read(path).unwrap()
        };
        let mut files = vec![record("a.wav", false), record("a.y4m", false)];
        if is_built(Codec::Opus) {
            files.push(record("a.ogg", false));
        }
        if is_built(Codec::Vp8) {
            files.extend([record("a.ivf", false), record("b.ivf", true)]);
        }
        if is_built(Codec::Opus) && is_built(Codec::Vp8) {
            files.extend([record("a.webm", false), record("b.webm", true)]);
        }
        files
    })
}

/// Plays to the end or to the first error, which is all that may happen.
fn play(content: &[u8], start: Duration) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("file");
    std::fs::write(&path, content).unwrap();
    let Ok(mut source) = source::open(&path, start) else { return 0 };
    (0..10_000).take_while(|_| matches!(source.next(), Ok(Some(_)))).count()
}

#[test]
fn the_files_are_right_before_they_are_damaged() {
    for (number, file) in files().iter().enumerate() {
        assert!(play(file, Duration::ZERO) >= 6, "file {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_are_played_or_refused_and_nothing_else(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        // Headers are a small part of a file, and the part that matters.
        early in prop::collection::vec((0_usize..400, prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff])), 0..4),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        start in 0_u64..300,
    ) {
        let mut content = file.get(files()).clone();
        for (at, value) in changes {
            let at = at.index(content.len());
            content[at] = value;
        }
        for (at, value) in early {
            if let Some(byte) = content.get_mut(at) {
                *byte = value;
            }
        }
        if is_cut {
            content.truncate(length.index(content.len()));
        }
        play(&content, Duration::from_millis(start));
    }

    #[test]
    fn noise_behind_the_first_bytes_of_a_format_is_refused_or_played(
        magic in prop::sample::select(vec![&b"RIFF"[..], b"OggS", b"DKIF", b"YUV4MPEG2 ", &[0x1a, 0x45, 0xdf, 0xa3]]),
        noise in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        play(&[magic, &noise].concat(), Duration::ZERO);
    }
}
