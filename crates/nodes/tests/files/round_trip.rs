//! What was recorded and is played again is what it was.

use std::time::Duration;

use remotemedia_codecs::test_media::{correlation, psnr_y};
use remotemedia_media::AudioFrame;
use remotemedia_runtime_core::data::RuntimeData;

use super::support::{audio, frames, interleaved, pictures, play, record_all, samples, speech, times, video};

const ZERO: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn wav_gives_back_every_sample() {
    let folder = tempfile::tempdir().unwrap();
    let original = speech(44_100, 1.0);
    for (format, tolerance) in [("float", 0.0), ("pcm16", 1.0 / 32_768.0)] {
        let path = folder.path().join(format!("{format}.wav"));
        let params = format!("{{ audio: '{}', wav_format: {format} }}", path.display());
        record_all(&params, frames(&original, 44_100, 1, ZERO)).await;
        let outputs = play(&path, "").await;
        let played = samples(&outputs);
        assert_eq!(played.len(), original.len());
        let worst = original.iter().zip(&played).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{format}: off by {worst}");
        let expected: Vec<_> = frames(&original, 44_100, 1, ZERO).iter().map(|frame| frame.timestamp).collect();
        assert_eq!(audio(&outputs).iter().map(|frame| frame.timestamp).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn ogg_opus_gives_back_the_sound_at_its_place_and_of_its_length() {
    let folder = tempfile::tempdir().unwrap();
    for (rate, channels, seconds) in [(48_000, 1, 2.013), (44_100, 2, 2.0), (16_000, 1, 2.0), (96_000, 1, 1.5)] {
        let path = folder.path().join(format!("{rate}.opus"));
        let spread = |sample: f32| std::iter::repeat_n(sample, usize::from(channels));
        let original: Vec<f32> = speech(rate, seconds).into_iter().flat_map(spread).collect();
        record_all(&format!("{{ audio: '{}' }}", path.display()), frames(&original, rate, channels, ZERO)).await;
        let outputs = play(&path, "").await;
        assert!(audio(&outputs).iter().all(|frame| (frame.sample_rate(), frame.channels()) == (48_000, channels)));
        let left: Vec<f32> = samples(&outputs).into_iter().step_by(channels.into()).collect();
        assert!(left.len().abs_diff((seconds * 48_000.0) as usize) <= 48, "{rate} Hz: {} samples", left.len());
        // Compared at a rate that divides both, where all of the speech is.
        let at = |samples: &[f32], rate: u32| -> Vec<f32> {
            let point = |n: usize| samples.get((n as u64 * u64::from(rate) / 8_000) as usize).copied().unwrap_or(0.0);
            (0..(seconds * 8_000.0) as usize).map(point).collect()
        };
        let mono: Vec<f32> = original.into_iter().step_by(channels.into()).collect();
        let (likeness, shift) = correlation(&at(&mono, rate), &at(&left, 48_000), 80);
        assert!(likeness >= 0.95 && shift == 0, "{rate} Hz: {likeness} at {shift}");
    }
}

#[tokio::test(start_paused = true)]
async fn ivf_and_webm_give_back_the_pictures_at_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut original = pictures(60, Duration::from_secs(3_600));
    // An uneven moment, as networks have it.
    original.drain(20..24);
    let expected: Vec<Duration> =
        original.iter().filter_map(|p| p.timestamp).map(|t| t - Duration::from_secs(3_600)).collect();
    for (name, codec) in [("a.ivf", "vp8"), ("b.ivf", "vp9"), ("a.webm", "vp8"), ("b.webm", "vp9")] {
        let path = folder.path().join(name);
        let params = format!("{{ video: '{}', codec: {codec}, bitrate_kbps: 4000 }}", path.display());
        record_all(&params, original.clone()).await;
        let outputs = play(&path, "").await;
        assert_eq!(times(&outputs), expected, "{name}");
        let quality: Vec<f64> =
            video(&outputs).iter().zip(&original).map(|(played, original)| psnr_y(played, original).unwrap()).collect();
        let (mean, worst) = (quality.iter().sum::<f64>() / 56.0, quality.iter().copied().fold(f64::MAX, f64::min));
        println!("{name}: {mean:.1} dB, worst {worst:.1} dB");
        assert!(mean >= 30.0 && worst >= 28.0, "{name}: {mean} dB, worst {worst} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn y4m_gives_back_every_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    let original = pictures(10, ZERO);
    record_all(&format!("{{ video: '{}', fps: 25 }}", path.display()), original.clone()).await;
    let outputs = play(&path, "").await;
    assert_eq!(video(&outputs).len(), 10);
    for (played, original) in video(&outputs).iter().zip(&original) {
        assert_eq!(played.to_packed(), original.to_packed());
        assert_eq!(played.timestamp, original.timestamp);
    }
}

/// By how many milliseconds the sound of `outputs` is later than that of `original`, which begins at `start`.
fn lag(outputs: &[RuntimeData], original: &[f32], start: Duration) -> f64 {
    let first = audio(outputs)[0].timestamp.unwrap();
    let before = (first.as_secs_f64() * 48_000.0).round() as usize;
    // 10 ms in front of everything, so that sound that is early is found too.
    let mut played = vec![0.0; before + 480];
    played.extend(samples(outputs));
    let offset = (start.as_secs_f64() * 48_000.0) as usize;
    let (likeness, shift) = correlation(original, &played[offset..], 960);
    assert!(likeness > 0.95, "{likeness}");
    (shift as f64 - 480.0) / 48.0
}

#[tokio::test(start_paused = true)]
async fn sound_and_pictures_keep_their_offset_in_one_file_and_in_two() {
    let folder = tempfile::tempdir().unwrap();
    let begin = Duration::from_secs(100);
    let sound = speech(48_000, 2.0);
    for (video_start, audio_start) in [(0, 140), (230, 0)] {
        let (video_start, audio_start) = (Duration::from_millis(video_start), Duration::from_millis(audio_start));
        let media = interleaved(frames(&sound, 48_000, 1, begin + audio_start), pictures(50, begin + video_start));
        let name = |ending: &str| folder.path().join(format!("{}.{ending}", video_start.as_millis()));
        record_all(&format!("{{ video: '{}' }}", name("webm").display()), media.clone()).await;
        let outputs = play(&name("webm"), "").await;
        assert_eq!(times(&outputs)[0], video_start);
        let together = lag(&outputs, &sound, audio_start);
        let params = format!("{{ audio: '{}', video: '{}' }}", name("wav").display(), name("ivf").display());
        record_all(&params, media).await;
        let pictures = play(&name("ivf"), "").await;
        // A player begins with what is due first: the times of the file itself are those of its pictures.
        let apart = lag(&play(&name("wav"), "").await, &sound, audio_start);
        assert_eq!(times(&pictures)[0], video_start);
        println!("sound is late by {together:.2} ms in one file, by {apart:.2} ms in two");
        assert!(together.abs() <= 1.0 && apart.abs() <= 1.0, "{together} and {apart} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn sound_that_comes_late_gets_a_webm_file_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let late = Duration::from_secs(3);
    let media = interleaved(frames(&speech(48_000, 1.0), 48_000, 1, late), pictures(100, ZERO));
    record_all(&format!("{{ video: '{}/a.webm' }}", folder.path().display()), media).await;
    let first = play(&folder.path().join("a.webm"), "").await;
    assert_eq!((video(&first).len(), audio(&first).len()), (75, 0));
    let second = play(&folder.path().join("a-2.webm"), "").await;
    assert_eq!(video(&second).len(), 25);
    assert!((samples(&second).len() as f32 / 48_000.0 - 1.0).abs() < 0.03);
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_sound_is_a_gap_when_it_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let sound = speech(48_000, 1.0);
    let mut media = frames(&sound, 48_000, 1, ZERO);
    media.extend(frames(&sound, 48_000, 1, Duration::from_millis(3_500)));
    for name in ["a.opus", "a.webm"] {
        let path = folder.path().join(name);
        let param = if name == "a.webm" { "video" } else { "audio" };
        record_all(&format!("{{ {param}: '{}' }}", path.display()), media.clone()).await;
        let outputs = play(&path, "").await;
        let lag = lag(&outputs, &sound, Duration::from_millis(3_500));
        assert!(lag.abs() <= 1.0, "{name}: {lag} ms");
        let power = |from: usize| samples(&outputs)[from..from + 48_000].iter().map(|s| s * s).sum::<f32>();
        assert!(power(72_000) < power(0) / 1e4, "{name}: the gap is not silent");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_louder_than_full_scale_survives_in_float() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let frame = AudioFrame::new(vec![3.0, -3.0], 8_000, 1).unwrap();
    record_all(&format!("{{ audio: '{}', wav_format: float }}", path.display()), [frame]).await;
    assert_eq!(samples(&play(&path, "").await), [3.0, -3.0]);
}
