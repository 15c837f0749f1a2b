//! What a player makes of files, when, and how it is told to.

use std::{path::Path, time::Duration};

use hound::{SampleFormat, WavSpec, WavWriter};
use remotemedia_runtime_core::{
    data::{ControlMessage, RuntimeData},
    runner::Session,
    transport::TransportData,
};
use tokio::time::Instant;

use super::support::{
    audio, control, frames, names, pictures, play, record_all, refusal, samples, session, speech, start, times, video,
};

const ZERO: Duration = Duration::ZERO;

fn write_wav(path: &Path, bits_per_sample: u16, sample_format: SampleFormat, samples: &[f32]) {
    let spec = WavSpec { channels: 1, sample_rate: 8_000, bits_per_sample, sample_format };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for sample in samples {
        match sample_format {
            SampleFormat::Float => writer.write_sample(*sample).unwrap(),
            SampleFormat::Int => {
                let scale = (1_u64 << (bits_per_sample - 1)) as f64;
                writer.write_sample((f64::from(*sample) * (scale - 1.0)).round() as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
}

#[tokio::test(start_paused = true)]
async fn wav_files_of_every_depth_sound_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let original = speech(8_000, 0.5);
    for (bits, format) in [
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ] {
        let path = folder.path().join(format!("{bits}{format:?}.wav"));
        write_wav(&path, bits, format, &original);
        let played = samples(&play(&path, "").await);
        assert_eq!(played.len(), original.len());
        let worst = original.iter().zip(&played).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let step = if format == SampleFormat::Float { 0.0 } else { 2f32.powi(2 - i32::from(bits)).max(1e-6) };
        assert!(worst <= step, "{bits} bits {format:?}: off by {worst}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_come_when_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    write_wav(&path, 16, SampleFormat::Int, &speech(8_000, 1.0));
    let mut session = session("FilePlayer", &format!("{{ path: '{}' }}", path.display()));
    let began = Instant::now();
    let mut count = 0;
    loop {
        let output = session.next_output().await.unwrap().unwrap().data;
        let passed = began.elapsed();
        let due = match &output {
            RuntimeData::Audio { frame } => frame.timestamp.unwrap(),
            other => {
                let message = control(other).unwrap();
                assert_eq!(&*message.message_type, "ended");
                assert_eq!(message.payload["path"], path.display().to_string());
                assert_eq!(message.timestamp, Some(Duration::from_secs(1)));
                assert!(passed >= Duration::from_secs(1), "it ended at {passed:?}");
                break;
            }
        };
        // The player looks at the clock every 10 ms, for the first time after 10 ms.
        assert!(passed >= due && passed <= due + Duration::from_millis(21), "{due:?} came at {passed:?}");
        count += 1;
    }
    assert_eq!(count, 50);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_file_is_played_from_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("a.wav");
    let original = speech(8_000, 1.0);
    write_wav(&wav, 32, SampleFormat::Float, &original);
    let outputs = play(&wav, ", start_s: 0.75").await;
    assert_eq!(samples(&outputs), original[6_000..]);
    assert_eq!(audio(&outputs)[0].timestamp, Some(ZERO));

    let opus = folder.path().join("a.opus");
    let sound = speech(48_000, 2.0);
    record_all(&format!("{{ audio: '{}' }}", opus.display()), frames(&sound, 48_000, 1, ZERO)).await;
    let played = samples(&play(&opus, ", start_s: 1.25").await);
    assert_eq!(played.len(), 36_000);
    let (likeness, shift) = remotemedia_codecs::test_media::correlation(&sound[60_000..], &played, 100);
    assert!(likeness > 0.95 && shift == 0, "{likeness} at {shift}");

    let original = pictures(200, ZERO);
    for name in ["a.ivf", "a.webm", "a.y4m"] {
        let path = folder.path().join(name);
        record_all(&format!("{{ video: '{}', fps: 25 }}", path.display()), original.clone()).await;
        // Behind the second keyframe, which is at 5 s.
        let outputs = play(&path, ", start_s: 6").await;
        assert_eq!(video(&outputs).len(), 50, "{name}");
        assert_eq!(times(&outputs)[0], ZERO, "{name}");
        let quality = remotemedia_codecs::test_media::psnr_y(&video(&outputs)[0], &original[150]).unwrap();
        assert!(quality > 28.0, "{name}: {quality} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_goes_on_without_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let original = speech(8_000, 0.5);
    write_wav(&path, 32, SampleFormat::Float, &original);
    let mut session = session("FilePlayer", &format!("{{ path: '{}', loop: true, stream_id: music }}", path.display()));
    let mut played = Vec::new();
    for number in 0..75_u32 {
        let output = session.next_output().await.unwrap().unwrap().data;
        let frame = output.as_audio().unwrap();
        assert_eq!(frame.timestamp, Some(Duration::from_millis(20) * number));
        assert_eq!(frame.stream_id.as_deref(), Some("music"));
        played.extend_from_slice(frame.samples());
    }
    assert_eq!(played, original.repeat(3));
}

/// The next output within 100 ms.
async fn soon(session: &mut Session) -> Option<RuntimeData> {
    let output = tokio::time::timeout(Duration::from_millis(100), session.next_output()).await.ok()?;
    Some(output.unwrap().unwrap().data)
}

#[tokio::test(start_paused = true)]
async fn it_plays_and_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let original = speech(8_000, 0.2);
    write_wav(&path, 32, SampleFormat::Float, &original);
    let mut session = start(&format!(
        "pipeline:\n  nodes: [{{ id: player, type: FilePlayer, params: {{ path: '{}', autostart: false }} }}]\n  \
         graph: [{{ from: input, to: player, only: control }}, {{ from: player, to: output }}]",
        path.display()
    ));
    let tell = |what: &str| TransportData::new(ControlMessage::new(what));
    assert_eq!(soon(&mut session).await, None);
    // What is no command for it goes by.
    session.send_input(tell("speech_start")).await.unwrap();
    session.send_input(TransportData::new("words")).await.unwrap();
    assert_eq!(soon(&mut session).await, None);
    session.send_input(tell("play")).await.unwrap();
    let first = soon(&mut session).await.unwrap();
    assert_eq!(first.as_audio().unwrap().samples(), &original[..160]);
    session.send_input(tell("stop")).await.unwrap();
    while soon(&mut session).await.is_some() {}
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(soon(&mut session).await, None);
    session.send_input(tell("play")).await.unwrap();
    let again = soon(&mut session).await.unwrap();
    let again = again.as_audio().unwrap();
    assert_eq!(again.samples(), &original[..160]);
    assert!(again.timestamp.unwrap() > Duration::from_secs(1), "time went back to {:?}", again.timestamp);
}

#[tokio::test(start_paused = true)]
async fn a_player_in_front_of_other_nodes_is_fed_by_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    write_wav(&path, 32, SampleFormat::Float, &[0.25; 800]);
    let mut session = start(&format!(
        "pipeline:\n  nodes:\n    - {{ id: player, type: FilePlayer, params: {{ path: '{}' }} }}\n    - \
         {{ id: louder, type: Gain, params: {{ linear: 2 }} }}\n  graph: [{{ from: player, to: louder }}]",
        path.display()
    ));
    // Media that is sent to the pipeline must not reach the player, which would refuse it.
    session.send_input(TransportData::new("words")).await.ok();
    let output = session.next_output().await.unwrap().unwrap().data;
    assert_eq!(output.as_audio().unwrap().samples()[0], 0.5);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_is_played_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let sound = frames(&speech(48_000, 3.0), 48_000, 1, ZERO);
    for name in ["a.wav", "a.opus"] {
        record_all(&format!("{{ audio: '{}/{name}' }}", folder.path().display()), sound.clone()).await;
    }
    for name in ["a.ivf", "a.webm", "a.y4m"] {
        record_all(&format!("{{ video: '{}/{name}', fps: 25 }}", folder.path().display()), pictures(75, ZERO)).await;
    }
    for name in names(folder.path()) {
        let path = folder.path().join(&name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
        let outputs = play(&path, "").await;
        let seconds = samples(&outputs).len() as f32 / 48_000.0 + video(&outputs).len() as f32 / 25.0;
        assert!((0.9..=2.8).contains(&seconds), "{name}: {seconds} s of two thirds of 3 s");
    }
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        refusal("FilePlayer", &format!("{{ path: '{}' }}", path.display()))
    };
    assert!(refusal("FilePlayer", "{}").contains("the param \"path\" is missing"));
    assert!(refusal("FilePlayer", "{ path: /no/such/file.wav }").contains("it cannot be read"));
    assert!(refused("noise.wav", b"not a sound").contains("it is no WAV, Ogg Opus, IVF, Y4M or WebM file"));
    assert!(refused("empty.wav", b"").contains("it is no WAV"));
    assert!(refused("half.wav", b"RIFF\0\0\0\0WAVEfmt ").contains("the WAV file is damaged"));
    assert!(
        refused("a.ivf", &[&b"DKIF\0\0\x20\0AV01"[..], &[0; 20]].concat()).contains("VP8, VP9 and H.264 are played")
    );
    let message = refused("a.y4m", b"YUV4MPEG2 W4 H4 F25:1 C444\n");
    assert!(message.contains("4:2:0 with 8 bits a sample is played"), "{message}");
    assert!(refused("b.y4m", b"YUV4MPEG2 W99999999999 H99999999999 F25:1\n").contains("too large"));
    let path = folder.path().join("good.wav");
    write_wav(&path, 16, SampleFormat::Int, &[0.0; 10]);
    let message = refusal("FilePlayer", &format!("{{ path: '{}', stream_id: 'a b' }}", path.display()));
    assert!(message.contains("is not a valid id"), "{message}");
}
