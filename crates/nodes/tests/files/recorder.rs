//! What a recorder writes, how it is told to, and what it does when it cannot.

use std::time::Duration;

use remotemedia_codecs::test_media::correlation;
use remotemedia_media::{AudioFrame, VideoFrame};
use remotemedia_nodes::files::{Recorder, RecorderSettings, WavFormat};
use remotemedia_runtime_core::{
    data::RuntimeData,
    node::process_once,
    transport::{StreamSession, TransportData},
};

use super::support::{
    frames, interleaved, names, pictures, play, read_wav, record, record_all, refusal, samples, session, speech, video,
};

const ZERO: Duration = Duration::ZERO;

#[tokio::test]
async fn float_samples_are_kept_exactly_and_data_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let original: Vec<f32> = speech(44_100, 1.3).into_iter().flat_map(|sample| [sample * 1.5, -sample]).collect();
    let inputs: Vec<RuntimeData> = frames(&original, 44_100, 2, ZERO).into_iter().map(Into::into).collect();
    let (outputs, errors) =
        record(&format!("{{ audio: '{}', wav_format: float }}", path.display()), inputs.clone()).await;
    assert_eq!(errors, [""; 0]);
    assert_eq!(outputs, inputs);
    assert_eq!(read_wav(&path), (original, 44_100, 2));
}

#[tokio::test]
async fn sixteen_bits_are_right_to_the_last_and_clip_what_is_too_loud() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let mut original = speech(16_000, 1.0);
    original[..2].copy_from_slice(&[2.0, -2.0]);
    record_all(&format!("{{ audio: '{}' }}", path.display()), frames(&original, 16_000, 1, ZERO)).await;
    let (read, ..) = read_wav(&path);
    assert_eq!(read.len(), original.len());
    assert_eq!(read[..2], [32_767.0 / 32_768.0, -1.0]);
    let worst = original[2..].iter().zip(&read[2..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1.0 / 32_768.0, "off by {worst}");
}

#[tokio::test]
async fn a_gap_in_the_timestamps_is_silence_and_an_overlap_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let frame = |micros, level| {
        AudioFrame::new(vec![level; 480], 48_000, 1).unwrap().with_timestamp(Duration::from_micros(micros))
    };
    // 10 ms each: then a gap of 90 ms, an overlap of 5 ms, and a timestamp that is not quite exact.
    let all = [frame(7_000_000, 0.25), frame(7_100_000, 0.5), frame(7_105_000, 0.6), frame(7_115_400, 0.75)];
    record_all(&format!("{{ audio: '{}', wav_format: float }}", path.display()), all).await;
    let (read, ..) = read_wav(&path);
    let expected = [vec![0.25; 480], vec![0.0; 4_320], vec![0.5; 480], vec![0.6; 240], vec![0.75; 480]].concat();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_new_start_of_the_senders_clock_is_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let second = speech(8_000, 1.0);
    let mut all = frames(&second, 8_000, 1, ZERO);
    all.extend(frames(&second, 8_000, 1, Duration::from_secs(90_000)));
    all.extend(frames(&second, 8_000, 1, Duration::from_secs(3)));
    record_all(&format!("{{ audio: '{}', wav_format: float }}", path.display()), all).await;
    assert_eq!(read_wav(&path).0, second.repeat(3));
}

#[tokio::test]
async fn each_peer_and_stream_has_its_file_and_a_second_one_without_placeholders_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let of = |peer: &str, stream: Option<&str>| {
        let mut all = frames(&speech(8_000, 0.1), 8_000, 1, ZERO);
        for frame in &mut all {
            frame.source = Some(peer.parse().unwrap());
            frame.stream_id = stream.map(|stream| stream.parse().unwrap());
        }
        all
    };
    let inputs = || [of("ann", None), of("bob", None), of("bob", Some("music"))].concat();
    record_all(&format!("{{ audio: '{}/{{peer}}_{{stream}}.wav' }}", folder.path().display()), inputs()).await;
    assert_eq!(names(folder.path()), ["ann_main.wav", "bob_main.wav", "bob_music.wav"]);

    let other = tempfile::tempdir().unwrap();
    let (outputs, errors) = record(&format!("{{ audio: '{}/all.wav' }}", other.path().display()), inputs()).await;
    assert_eq!(names(other.path()), ["all.wav"]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("audio stream \"main\" of \"bob\" would go into"), "{}", errors[0]);
    assert!(errors[1].contains("put {peer} or {stream} into the path"), "{}", errors[1]);
    assert_eq!(outputs.len(), inputs().len() - 2);
}

#[tokio::test]
async fn more_streams_than_may_be_open_all_have_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = (0..70).map(|number| {
        let mut frame = AudioFrame::new(vec![0.5; 160], 8_000, 1).unwrap();
        frame.source = Some(format!("peer{number}").parse().unwrap());
        frame
    });
    record_all(&format!("{{ audio: '{}/{{peer}}.wav' }}", folder.path().display()), inputs).await;
    assert_eq!(names(folder.path()).len(), 70);
    assert_eq!(read_wav(&folder.path().join("peer0.wav")).0, [0.5; 160]);
}

#[tokio::test]
async fn the_sources_of_a_mix_are_recorded_each_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = ["ann", "bob"].map(|peer| {
        let mut frame = AudioFrame::new(vec![0.5; 160], 8_000, 1).unwrap();
        frame.source = Some(peer.parse().unwrap());
        frame.into()
    });
    let mix = RuntimeData::AudioMix { inputs: inputs.into(), sample_rate: 8_000 };
    record_all(&format!("{{ audio: '{}/{{peer}}.wav' }}", folder.path().display()), [mix]).await;
    assert_eq!(names(folder.path()), ["ann.wav", "bob.wav"]);
}

#[tokio::test]
async fn sound_that_changes_its_format_is_converted_to_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let tone = |rate: u32, from: usize| -> Vec<f32> {
        let sample = |n: usize| 0.5 * (std::f32::consts::TAU * 440.0 * n as f32 / rate as f32).sin();
        (from..from + rate as usize).map(sample).collect()
    };
    let stereo: Vec<f32> = tone(48_000, 0).into_iter().flat_map(|sample| [sample, sample]).collect();
    let mut all = frames(&tone(16_000, 0), 16_000, 1, ZERO);
    all.extend(frames(&stereo, 48_000, 2, Duration::from_secs(1)));
    record_all(&format!("{{ audio: '{}', wav_format: float }}", path.display()), all).await;
    let (read, rate, channels) = read_wav(&path);
    assert_eq!((rate, channels), (16_000, 1));
    assert!(read.len().abs_diff(32_000) <= 16, "{} samples", read.len());
    let expected = tone(16_000, 0).repeat(2);
    let (likeness, shift) = correlation(&expected, &read, 100);
    assert!(likeness > 0.999 && shift == 0, "{likeness} at {shift}");
}

#[tokio::test(start_paused = true)]
async fn every_file_plays_while_it_is_still_being_written_and_after_its_writer_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let media = interleaved(frames(&speech(48_000, 4.0), 48_000, 1, ZERO), pictures(100, ZERO));
    for name in ["a.wav", "a.opus", "a.ivf", "a.webm"] {
        let path = folder.path().join(name);
        let text = path.to_str().unwrap();
        let is_audio = name.ends_with("wav") || name.ends_with("opus");
        let settings = if is_audio { RecorderSettings::audio(text) } else { RecorderSettings::video(text) };
        let mut recorder = Recorder::new(settings.unwrap());
        for data in &media {
            process_once(&mut recorder, data.clone()).unwrap();
        }
        // A copy, as it were after the power went off.
        let copy = folder.path().join(format!("copy-{name}"));
        std::fs::copy(&path, &copy).unwrap();
        let killed = play(&copy, "").await;
        drop(recorder);
        let dropped = play(&path, "").await;
        let (seconds, whole) = if is_audio {
            let seconds = |outputs: &[RuntimeData]| samples(outputs).len() as f32 / 48_000.0;
            (seconds(&killed), seconds(&dropped))
        } else {
            (video(&killed).len() as f32 / 25.0, video(&dropped).len() as f32 / 25.0)
        };
        assert!((1.9..=4.01).contains(&seconds), "{name}: {seconds} s are playable of 4 s");
        assert!((whole - 4.0).abs() <= 0.05, "{name}: {whole} s after it was dropped");
    }
}

#[tokio::test]
async fn at_its_largest_size_a_recording_stops_or_goes_on_in_the_next_file() {
    // 16 bits at 8 kHz: 16,000 bytes a second.
    let ten_seconds = speech(8_000, 10.0);
    for (on_full, files) in [("stop", 1), ("rotate", 4)] {
        let folder = tempfile::tempdir().unwrap();
        let params = format!("{{ audio: '{}/a.wav', max_mb: 0.05, on_full: {on_full} }}", folder.path().display());
        record_all(&params, frames(&ten_seconds, 8_000, 1, ZERO)).await;
        let names = names(folder.path());
        assert_eq!(names.len(), files, "{on_full}: {names:?}");
        let mut all = Vec::new();
        for name in ["a.wav", "a-2.wav", "a-3.wav", "a-4.wav"].iter().take(files) {
            let path = folder.path().join(name);
            assert!(path.metadata().unwrap().len() <= 50_500, "{name}");
            all.extend(read_wav(&path).0);
        }
        let expected = if on_full == "stop" { 25_120 } else { ten_seconds.len() };
        assert!(all.len().abs_diff(expected) <= 160, "{on_full}: {} samples", all.len());
        let worst = all.iter().zip(&ten_seconds).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1.0 / 32_768.0, "{on_full}: off by {worst}");
    }
}

#[tokio::test]
async fn a_recorder_that_does_not_pass_only_takes() {
    let folder = tempfile::tempdir().unwrap();
    let params = format!("{{ audio: '{}/a.wav', pass: false }}", folder.path().display());
    let (outputs, errors) = record(&params, frames(&speech(8_000, 0.5), 8_000, 1, ZERO)).await;
    assert_eq!((outputs.len(), errors.len()), (0, 0));
    assert_eq!(names(folder.path()), ["a.wav"]);
}

#[tokio::test]
async fn bitrates_show_in_the_size_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let size = |name: &str| folder.path().join(name).metadata().unwrap().len();
    for kbps in [16, 128] {
        let params = format!("{{ audio: '{}/{kbps}.ogg', audio_bitrate_kbps: {kbps} }}", folder.path().display());
        record_all(&params, frames(&speech(48_000, 3.0), 48_000, 1, ZERO)).await;
    }
    assert!(size("128.ogg") > 3 * size("16.ogg"), "{} and {} bytes", size("16.ogg"), size("128.ogg"));
    for kbps in [200, 2_000] {
        let params = format!("{{ video: '{}/{kbps}.ivf', bitrate_kbps: {kbps} }}", folder.path().display());
        record_all(&params, pictures(50, ZERO)).await;
    }
    assert!(size("2000.ivf") > 3 * size("200.ivf"), "{} and {} bytes", size("200.ivf"), size("2000.ivf"));
}

#[tokio::test]
async fn the_codec_is_the_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, fourcc, id) in [("vp8", b"VP80", &b"V_VP8"[..]), ("vp9", b"VP90", b"V_VP9")] {
        for ending in ["ivf", "webm"] {
            let params = format!("{{ video: '{}/{codec}.{ending}', codec: {codec} }}", folder.path().display());
            record_all(&params, pictures(5, ZERO)).await;
            let bytes = std::fs::read(folder.path().join(format!("{codec}.{ending}"))).unwrap();
            let found = if ending == "ivf" { bytes[8..12] == *fourcc } else { bytes.windows(5).any(|part| part == id) };
            assert!(found, "{codec} in {ending}");
        }
    }
}

#[tokio::test]
async fn a_y4m_file_has_its_rate_whatever_comes() {
    let folder = tempfile::tempdir().unwrap();
    for fps in [10, 50] {
        let path = folder.path().join(format!("{fps}.y4m"));
        // A second of pictures, with 0.4 s missing, one of them smaller.
        let mut all = pictures(26, ZERO);
        all.drain(10..20);
        let small = VideoFrame::i420(160, 90, vec![128; 160 * 90 * 3 / 2]).unwrap();
        all[5] = small.with_timestamp(Duration::from_millis(200));
        record_all(&format!("{{ video: '{}', fps: {fps} }}", path.display()), all).await;
        let mut decoder = y4m::decode(std::io::BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
        let mut count = 0;
        while decoder.read_frame().is_ok() {
            count += 1;
        }
        assert_eq!(count, fps + 1, "one second and the picture at its end");
    }
}

#[tokio::test]
async fn new_params_that_leave_the_files_alone_do_not_begin_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}/a.ogg", folder.path().display());
    let mut session = session("Recorder", &format!("{{ audio: '{path}', audio_bitrate_kbps: 16 }}"));
    let control = session.control();
    for (number, frame) in frames(&speech(48_000, 2.0), 48_000, 1, ZERO).into_iter().enumerate() {
        if number == 50 {
            let params = serde_json::json!({ "audio": path, "audio_bitrate_kbps": 200, "pass": false });
            control.reconfigure("it", params).await.unwrap();
        }
        session.send_input(TransportData::new(frame)).await.unwrap();
        assert_eq!(session.recv_output().await.unwrap().is_some(), number < 50);
    }
    session.finish().await.unwrap();
    assert!(StreamSession::next_output(&mut session).await.unwrap().is_none());
    assert_eq!(names(folder.path()), ["a.ogg"]);
    let size = folder.path().join("a.ogg").metadata().unwrap().len();
    assert!(size > 12_000, "{size} bytes are less than the second half alone needs");
}

#[tokio::test]
async fn a_disk_that_fails_is_reported_once_with_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let mut session = session("Recorder", &format!("{{ audio: '{}' }}", path.display()));
    drop(folder);
    let mut errors = Vec::new();
    for frame in frames(&speech(8_000, 0.1), 8_000, 1, ZERO) {
        session.send_input(TransportData::new(frame)).await.unwrap();
        if let Err(error) = session.recv_output().await {
            errors.push(error.to_string());
        }
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(&format!("{} cannot be written", path.display())), "{}", errors[0]);
}

#[test]
fn what_cannot_be_recorded_is_refused_before_anything_runs() {
    assert!(refusal("Recorder", "{}").contains("the param \"audio\" is missing"));
    let message = refusal("Recorder", "{ audio: /no/such/folder/a.wav }");
    assert!(message.contains("the folder /no/such/folder does not exist: create it first"), "{message}");
    assert!(refusal("Recorder", "{ video: a.mp4 }").contains("must end in .webm, .ivf or .y4m"));
    assert!(refusal("Recorder", "{ audio: a.wav, bitrate_kbps: 5 }").contains("30 to 100000 kbit/s"));
}

#[test]
fn recorders_are_built_without_a_manifest_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let settings = RecorderSettings::audio(path.to_str().unwrap()).unwrap().with_wav_format(WavFormat::Float);
    let mut recorder = Recorder::new(settings);
    process_once(&mut recorder, AudioFrame::new(vec![0.1, 1.5], 48_000, 2).unwrap()).unwrap();
    drop(recorder);
    assert_eq!(read_wav(&path), (vec![0.1, 1.5], 48_000, 2));
}
