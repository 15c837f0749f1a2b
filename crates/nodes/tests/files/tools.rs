//! What ffmpeg, which knows nothing of this project, finds in recorded files. `cargo xtask setup test` installs it.

use std::{path::Path, process::Command, time::Duration};

use super::support::{frames, interleaved, pictures, play, record_all, speech, video};

const ZERO: Duration = Duration::ZERO;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} does not run ({error}): cargo xtask setup test installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Fields of the streams and of the whole file, as `name=value` lines.
fn probe(path: &Path, entries: &str) -> String {
    let path = path.to_str().unwrap();
    run("ffprobe", &["-v", "error", "-count_packets", "-show_entries", entries, "-of", "default=nw=1", path])
}

/// Decodes everything; what is not right in the file is an error.
fn decode(path: &Path) {
    let path = path.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-xerror", "-i", path, "-f", "null", "-"]);
}

#[tokio::test]
async fn ffmpeg_decodes_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sound = frames(&speech(48_000, 3.01), 48_000, 1, ZERO);
    let media = interleaved(sound.clone(), pictures(75, Duration::from_millis(200)));
    for (params, name) in [
        ("audio", "a.wav"),
        ("wav_format: float, audio", "b.wav"),
        ("audio", "a.opus"),
        ("fps: 25, video", "a.y4m"),
        ("video", "a.ivf"),
        ("codec: vp9, video", "b.ivf"),
        ("video", "a.webm"),
        ("codec: vp9, video", "b.webm"),
    ] {
        record_all(&format!("{{ {params}: '{}' }}", path(name).display()), media.clone()).await;
        decode(&path(name));
    }
    let found = probe(&path("a.opus"), "stream=codec_name,channels:format=duration");
    assert!(found.contains("codec_name=opus\nchannels=1"), "{found}");
    let duration: f64 = found.split("duration=").nth(1).unwrap().trim().parse().unwrap();
    assert!((duration - 3.01).abs() < 0.008, "{found}");

    for (name, codec) in [("a.webm", "vp8"), ("b.webm", "vp9")] {
        let found = probe(&path(name), "stream=codec_name,width,height,nb_read_packets,start_time:format=duration");
        for expected in
            [&format!("codec_name={codec}\nwidth=320\nheight=180")[..], "nb_read_packets=75", "codec_name=opus"]
        {
            assert!(found.contains(expected), "{name}: {expected} is not in {found}");
        }
        assert!(found.contains("start_time=0.200000"), "{name}: {found}");
        let duration: f64 = found.split("duration=").last().unwrap().trim().parse().unwrap();
        assert!((3.15..3.23).contains(&duration), "{name}: {found}");
    }
    let found = probe(&path("b.ivf"), "stream=codec_name,nb_read_packets,start_time");
    assert!(found.contains("codec_name=vp9") && found.contains("nb_read_packets=75"), "{found}");
    // Nothing but the pictures is recorded here, so time begins with them.
    assert!(found.contains("start_time=0.000000"), "{found}");
}

#[tokio::test]
async fn ffmpeg_finds_a_place_within_a_webm_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.webm");
    record_all(&format!("{{ video: '{}' }}", path.display()), pictures(300, ZERO)).await;
    let text = path.to_str().unwrap();
    let found = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-read_intervals",
            "11%+#1",
            "-select_streams",
            "v",
            "-show_entries",
            "packet=pts_time,flags",
            "-of",
            "csv=p=0",
            text,
        ],
    );
    // The third keyframe is at 10 s.
    assert!(found.starts_with("10.000000,K"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn files_that_ffmpeg_wrote_are_played() {
    let folder = tempfile::tempdir().unwrap();
    let encode = |name: &str, arguments: &[&str]| {
        let path = folder.path().join(name);
        let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1"];
        let sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=1"];
        run("ffmpeg", &[&source[..], &sound, arguments, &[path.to_str().unwrap()]].concat());
        path
    };
    for (name, arguments, pictures, seconds) in [
        ("a.webm", &["-c:v", "libvpx", "-c:a", "libopus"][..], 25, 1.0),
        ("b.webm", &["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-live", "1"], 25, 1.0),
        ("a.ivf", &["-c:v", "libvpx", "-map", "0:v"], 25, 0.0),
        ("a.y4m", &["-pix_fmt", "yuv420p", "-map", "0:v"], 25, 0.0),
        ("a.opus", &["-c:a", "libopus", "-map", "1:a"], 0, 1.0),
        ("24.wav", &["-c:a", "pcm_s24le", "-map", "1:a"], 0, 1.0),
        ("float.wav", &["-c:a", "pcm_f32le", "-map", "1:a"], 0, 1.0),
    ] {
        let outputs = play(&encode(name, arguments), "").await;
        assert_eq!(video(&outputs).len(), pictures, "{name}");
        let samples = super::support::samples(&outputs);
        assert!((samples.len() as f32 / 48_000.0 - seconds).abs() < 0.03, "{name}: {} samples", samples.len());
        if seconds > 0.0 {
            // ffmpeg's sine has an amplitude of an eighth.
            let rms = (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt();
            assert!((rms - 0.0884).abs() < 0.01, "{name}: {rms}");
        }
    }
}
