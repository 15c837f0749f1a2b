//! Encoding and decoding of 720p moving pictures and of speech, one frame per iteration.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use remotemedia_codecs::{
    AudioDecoderSettings, AudioEncoderSettings, VideoDecoderSettings, VideoEncoderSettings, audio_decoder,
    audio_encoder, scale_to_fit,
    test_media::{Clip, Speech},
    to_i420, video_decoder, video_encoder,
};
use remotemedia_media::{Codec, EncodedFrame, PixelFormat, RtpTimestamp, VideoFrame};

const FRAME: Duration = Duration::from_nanos(33_333_333);

/// 30 pictures of the clip there and back, so that it never jumps.
fn pictures() -> Vec<VideoFrame> {
    let clip = Clip::new(1, 1280, 720);
    let there: Vec<VideoFrame> = (0..30).map(|index| clip.frame(index)).collect();
    let back = there[1..29].iter().rev().cloned().collect::<Vec<_>>();
    [there, back].concat()
}

fn video(c: &mut Criterion) {
    let pictures = pictures();
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9] {
        let Ok(mut encoder) = video_encoder(codec, &VideoEncoderSettings::default()) else { continue };
        let mut group = c.benchmark_group(format!("{codec} 1280x720"));
        group.throughput(Throughput::Elements(1));
        group.sample_size(20);
        let mut index = 0u32;
        group.bench_function("encode", |b| {
            b.iter(|| {
                let picture = &pictures[index as usize % pictures.len()];
                index += 1;
                black_box(encoder.encode(picture, FRAME * index, false).expect("the encoder takes 720p"))
            });
        });

        let mut encoder = video_encoder(codec, &VideoEncoderSettings::default()).expect("it was built before");
        let mut decoder = video_decoder(codec, &VideoDecoderSettings::default()).expect("the decoder is built too");
        // Starts with a keyframe, so it can be decoded over and over.
        let stream: Vec<EncodedFrame> = pictures
            .iter()
            .enumerate()
            .filter_map(|(index, picture)| {
                let encoded = encoder.encode(picture, FRAME * index as u32, false).expect("the encoder takes 720p")?;
                Some(EncodedFrame {
                    codec,
                    data: encoded.data,
                    keyframe: encoded.keyframe,
                    contiguous: true,
                    timestamp: RtpTimestamp(0),
                    first_sequence: 0,
                    last_sequence: 0,
                    arrival: Instant::now(),
                })
            })
            .collect();
        let mut index = 0;
        group.bench_function("decode", |b| {
            b.iter(|| {
                let frame = &stream[index % stream.len()];
                index += 1;
                black_box(decoder.decode(frame).expect("an intact stream"))
            });
        });
    }
}

fn audio(c: &mut Criterion) {
    let Ok(mut encoder) = audio_encoder(Codec::Opus, &AudioEncoderSettings::default()) else { return };
    let mut decoder = audio_decoder(Codec::Opus, &AudioDecoderSettings::default()).expect("the decoder is built too");
    let samples = Speech::new(1, 48_000).samples(48_000 * 10);
    let frames: Vec<&[f32]> = samples.chunks_exact(encoder.frame_samples()).collect();
    let packets: Vec<_> = frames.iter().map(|frame| encoder.encode(frame).expect("a whole frame").data).collect();
    let mut group = c.benchmark_group("opus 48 kHz mono 20 ms");
    group.throughput(Throughput::Elements(1));
    let mut index = 0;
    group.bench_function("encode", |b| {
        b.iter(|| {
            index += 1;
            black_box(encoder.encode(frames[index % frames.len()]).expect("a whole frame"))
        });
    });
    let mut out = Vec::new();
    group.bench_function("decode", |b| {
        b.iter(|| {
            index += 1;
            out.clear();
            decoder.decode(&packets[index % packets.len()], &mut out).expect("an intact packet")
        });
    });
    group.bench_function("conceal", |b| {
        b.iter(|| {
            out.clear();
            decoder.conceal(960, &mut out).expect("20 ms")
        });
    });
}

fn pictures_in(c: &mut Criterion) {
    let clip = Clip::new(1, 1280, 720);
    let mut index = 0;
    c.bench_function("make a picture of the clip 1280x720", |b| {
        b.iter(|| {
            index += 1;
            clip.frame(black_box(index))
        });
    });
    let i420 = clip.frame(0);
    let rgba: Vec<u8> = i420.rows(0).flatten().flat_map(|y| [*y, *y, *y, 255]).collect();
    let rgba = VideoFrame::from_packed(PixelFormat::Rgba, 1280, 720, rgba).expect("a packed picture");
    c.bench_function("RGBA to I420 1280x720", |b| b.iter(|| to_i420(black_box(&rgba)).expect("RGBA converts")));
    c.bench_function("scale 1280x720 to 640x360", |b| {
        b.iter(|| scale_to_fit(black_box(&i420), 640, 360).expect("I420 scales"));
    });
}

criterion_group!(benches, video, audio, pictures_in);
criterion_main!(benches);
