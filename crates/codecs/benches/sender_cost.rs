//! What a 720p30 sender costs: processor time, quality and bitrate of each codec and effort over the same clip.
//!
//! Processor time is the thread's own where Linux tells it (`/proc/thread-self/schedstat`), otherwise the time that
//! passed, which other processes inflate.

use std::{
    fs,
    time::{Duration, Instant},
};

use remotemedia_codecs::{
    VideoDecoderSettings, VideoEffort, VideoEncoderSettings,
    test_media::{Clip, psnr_y},
    video_decoder, video_encoder,
};
use remotemedia_media::{Bitrate, Codec, EncodedFrame, RtpTimestamp};

const FRAMES: u32 = 300;
const FRAME: Duration = Duration::from_nanos(33_333_333);

fn main() {
    println!(
        "{:<6} {:<9} {:>6}  {:>12} {:>12} {:>10} {:>8} {:>8}  core at 30/s",
        "codec", "effort", "target", "enc ms/frame", "dec ms/frame", "PSNR-Y dB", "kbit/s", "dropped"
    );
    let clip = Clip::new(1, 1280, 720);
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9] {
        for effort in [VideoEffort::Low, VideoEffort::Balanced, VideoEffort::High] {
            measure(&clip, codec, effort, 2_000);
        }
        measure(&clip, codec, VideoEffort::Balanced, 1_000);
    }
}

fn measure(clip: &Clip, codec: Codec, effort: VideoEffort, kbps: u32) {
    let settings = VideoEncoderSettings { bitrate: Bitrate::from_kbps(kbps), effort, ..Default::default() };
    let Ok(mut encoder) = video_encoder(codec, &settings) else { return };
    let mut decoder = video_decoder(codec, &VideoDecoderSettings::default()).expect("the decoder is built too");
    let (mut encoding, mut decoding) = (Duration::ZERO, Duration::ZERO);
    let (mut bytes, mut ratios) = (0, Vec::new());
    for index in 0..FRAMES {
        let original = clip.frame(index.into());
        let start = Clock::now();
        let encoded = encoder.encode(&original, FRAME * index, false).expect("the encoder takes 720p");
        encoding += start.elapsed();
        let Some(encoded) = encoded else { continue };
        bytes += encoded.data.len();
        let frame = EncodedFrame {
            codec,
            data: encoded.data,
            keyframe: encoded.keyframe,
            contiguous: true,
            timestamp: RtpTimestamp(0),
            first_sequence: 0,
            last_sequence: 0,
            arrival: Instant::now(),
        };
        let start = Clock::now();
        let shown = decoder.decode(&frame).expect("an intact stream").expect("a picture for each frame");
        decoding += start.elapsed();
        ratios.push(psnr_y(&original, &shown).expect("the same size"));
    }
    let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(FRAMES);
    println!(
        "{:<6} {:<9} {:>6}  {:>12.2} {:>12.2} {:>10.2} {:>8.0} {:>8}  {:.3}",
        codec.name(),
        format!("{effort:?}"),
        kbps,
        per_frame(encoding),
        per_frame(decoding),
        ratios.iter().sum::<f64>() / ratios.len() as f64,
        bytes as f64 * 8.0 / (FRAME * FRAMES).as_secs_f64() / 1e3,
        FRAMES as usize - ratios.len(),
        per_frame(encoding) * 30.0 / 1e3,
    );
}

/// Processor time of this thread, or real time.
enum Clock {
    Processor(Duration),
    Real(Instant),
}

impl Clock {
    fn now() -> Self {
        processor_time().map_or_else(|| Self::Real(Instant::now()), Self::Processor)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Processor(start) => processor_time().unwrap_or_default().saturating_sub(*start),
            Self::Real(start) => start.elapsed(),
        }
    }
}

fn processor_time() -> Option<Duration> {
    let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
