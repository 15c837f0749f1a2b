//! Opus through its traits: every rate and channel count, recovery of lost packets, silence, live settings, junk.
#![cfg(feature = "opus")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use remotemedia_codecs::{
    AudioContent, AudioDecoder, AudioDecoderSettings, AudioEncoder, AudioEncoderSettings, CodecError, audio_decoder,
    audio_encoder,
    test_media::{Speech, correlation},
};
use remotemedia_media::{Bitrate, Codec};

const SEED: u64 = 11;

fn encoder(settings: &AudioEncoderSettings) -> Box<dyn AudioEncoder> {
    audio_encoder(Codec::Opus, settings).unwrap()
}

fn decoder(sample_rate: u32, channels: u16) -> Box<dyn AudioDecoder> {
    audio_decoder(Codec::Opus, &AudioDecoderSettings { sample_rate, channels }).unwrap()
}

/// Speech on every channel, the right one upside down.
fn speech(sample_rate: u32, channels: u16, seconds: usize) -> Vec<f32> {
    let mono = Speech::new(SEED, sample_rate).samples(sample_rate as usize * seconds);
    match channels {
        1 => mono,
        _ => mono.into_iter().flat_map(|s| [s, -s * 0.5]).collect(),
    }
}

fn packets(encoder: &mut dyn AudioEncoder, pcm: &[f32], channels: u16) -> Vec<Vec<u8>> {
    let frame = encoder.frame_samples() * usize::from(channels);
    pcm.chunks_exact(frame).map(|frame| encoder.encode(frame).unwrap().data.to_vec()).collect()
}

fn kbps(packets: &[Vec<u8>], seconds: f64) -> f64 {
    packets.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 / seconds / 1_000.0
}

#[test]
fn speech_survives_at_every_rate_channel_count_and_frame_length() {
    for sample_rate in [8_000, 12_000, 16_000, 24_000, 48_000] {
        for channels in [1, 2] {
            for millis in [2.5, 5.0, 10.0, 20.0, 40.0, 60.0] {
                let settings = AudioEncoderSettings {
                    sample_rate,
                    channels,
                    frame: Duration::from_secs_f64(millis / 1e3),
                    bitrate: Bitrate::from_kbps(96),
                    ..AudioEncoderSettings::default()
                };
                let mut encoder = encoder(&settings);
                let pcm = speech(sample_rate, channels, 2);
                let mut heard = Vec::new();
                let mut decoder = decoder(sample_rate, channels);
                for packet in packets(encoder.as_mut(), &pcm, channels) {
                    let samples = decoder.decode(&packet, &mut heard).unwrap();
                    assert_eq!(samples, encoder.frame_samples());
                }
                let delay = encoder.lookahead() * usize::from(channels);
                let (found, shift) = correlation(&pcm, &heard, delay * 2);
                // The speech half of the codec turns the phase of low frequencies, which costs correlation.
                assert!(found > 0.85, "{sample_rate} Hz, {channels} channels, {millis} ms: correlation {found}");
                assert!(
                    shift.abs_diff(delay) <= usize::from(channels) * 3,
                    "{sample_rate} Hz {millis} ms: shifted by {shift}, lookahead {delay}"
                );
            }
        }
    }
}

#[test]
fn a_decoder_converts_to_its_own_rate_and_channels() {
    let pcm = speech(48_000, 2, 1);
    let packets = packets(encoder(&AudioEncoderSettings { channels: 2, ..Default::default() }).as_mut(), &pcm, 2);
    for (sample_rate, channels) in [(8_000, 1), (16_000, 2), (24_000, 1)] {
        let mut decoder = decoder(sample_rate, channels);
        let mut out = Vec::new();
        for packet in &packets {
            assert_eq!(decoder.decode(packet, &mut out).unwrap(), sample_rate as usize / 50);
        }
        assert_eq!(out.len(), sample_rate as usize * usize::from(channels));
        assert!(out.iter().any(|s| s.abs() > 0.05));
    }
}

#[test]
fn in_band_recovery_beats_concealment() {
    let settings = AudioEncoderSettings { expected_loss: 0.2, bitrate: Bitrate::from_kbps(40), ..Default::default() };
    let pcm = speech(48_000, 1, 10);
    let packets = packets(encoder(&settings).as_mut(), &pcm, 1);
    let (mut intact, mut concealed, mut recovered) = (Vec::new(), Vec::new(), Vec::new());
    let (mut a, mut b, mut c) = (decoder(48_000, 1), decoder(48_000, 1), decoder(48_000, 1));
    let mut lost = Vec::new();
    for (index, packet) in packets.iter().enumerate() {
        a.decode(packet, &mut intact).unwrap();
        if index % 5 == 3 {
            lost.push(concealed.len()..concealed.len() + 960);
            b.conceal(960, &mut concealed).unwrap();
            let next = packets.get(index + 1).unwrap_or(packet);
            assert_eq!(c.recover(next, 960, &mut recovered).unwrap(), 960);
        } else {
            b.decode(packet, &mut concealed).unwrap();
            c.decode(packet, &mut recovered).unwrap();
        }
    }
    let error = |heard: &[f32]| -> f64 {
        lost.iter().flat_map(|range| range.clone()).map(|i| f64::from(heard[i] - intact[i]).powi(2)).sum()
    };
    let (plc, fec) = (error(&concealed), error(&recovered));
    assert!(fec < plc * 0.5, "recovered packets err by {fec}, concealed ones by {plc}");
}

#[test]
fn concealment_goes_on_with_the_sound_and_fades() {
    let pcm = speech(48_000, 1, 2);
    let mut decoder = decoder(48_000, 1);
    let mut out = Vec::new();
    for packet in &packets(encoder(&Default::default()).as_mut(), &pcm, 1)[..30] {
        decoder.decode(packet, &mut out).unwrap();
    }
    let power = |s: &[f32]| s.iter().map(|s| s * s).sum::<f32>() / s.len() as f32;
    let mut concealed = Vec::new();
    for samples in [120, 480, 960, 5_760] {
        assert_eq!(decoder.conceal(samples, &mut concealed).unwrap(), samples);
    }
    for _ in 0..10 {
        decoder.conceal(5_760, &mut concealed).unwrap();
    }
    assert!(power(&concealed[..480]) > 0.0, "nothing was invented");
    assert!(power(&concealed[concealed.len() - 960..]) < 1e-4, "the invented sound never ends");
}

#[test]
fn lengths_that_cannot_be_concealed_are_refused() {
    let mut decoder = decoder(48_000, 2);
    let mut out = vec![0.5];
    for samples in [0, 1, 119, 5_761, 5_880] {
        assert!(matches!(decoder.conceal(samples, &mut out), Err(CodecError::AudioLength { .. })), "{samples}");
        assert!(matches!(decoder.recover(&[0; 9], samples, &mut out), Err(CodecError::AudioLength { .. })));
    }
    assert_eq!(out, [0.5]);
}

#[test]
fn silence_is_hardly_sent_with_dtx() {
    let settings = AudioEncoderSettings { dtx: true, ..Default::default() };
    let mut with_dtx = encoder(&settings);
    let mut without = encoder(&AudioEncoderSettings { dtx: false, ..settings });
    let silence = vec![0.0; with_dtx.frame_samples()];
    let encoded: Vec<_> = (0..100).map(|_| with_dtx.encode(&silence).unwrap()).collect();
    let unsent = encoded.iter().filter(|packet| packet.dtx).count();
    assert!(unsent > 70, "{unsent} of 100 silent packets need no sending");
    assert!((0..100).all(|_| !without.encode(&silence).unwrap().dtx));

    with_dtx.set_dtx(false).unwrap();
    assert!((0..50).map(|_| with_dtx.encode(&silence).unwrap()).skip(1).all(|packet| !packet.dtx));
    with_dtx.set_dtx(true).unwrap();
    let mut voice = Speech::new(SEED, 48_000);
    let spoken: Vec<_> = (0..50).map(|_| with_dtx.encode(&voice.samples(960)).unwrap()).collect();
    assert!(spoken.iter().filter(|packet| packet.dtx).count() < 10, "speech is no silence");
}

#[test]
fn the_bitrate_follows_at_once() {
    let mut encoder = encoder(&AudioEncoderSettings { content: AudioContent::Music, ..Default::default() });
    let pcm = speech(48_000, 1, 4);
    for target in [24, 96, 16, 64] {
        encoder.set_bitrate(Bitrate::from_kbps(target)).unwrap();
        let rate = kbps(&packets(encoder.as_mut(), &pcm, 1), 4.0);
        let target = f64::from(target);
        assert!((target * 0.6..target * 1.2).contains(&rate), "{rate:.1} kbit/s for {target}");
    }
}

#[test]
fn complexity_changes_what_is_sent() {
    let mut low = encoder(&AudioEncoderSettings { complexity: 0, ..Default::default() });
    let mut live = encoder(&AudioEncoderSettings { complexity: 10, ..Default::default() });
    live.set_complexity(0).unwrap();
    let mut high = encoder(&AudioEncoderSettings { complexity: 10, ..Default::default() });
    let pcm = speech(48_000, 1, 1);
    let low = packets(low.as_mut(), &pcm, 1);
    assert_eq!(low, packets(live.as_mut(), &pcm, 1));
    assert_ne!(low, packets(high.as_mut(), &pcm, 1));
}

#[test]
fn error_correction_costs_bits_only_when_losses_are_expected() {
    let pcm = speech(48_000, 1, 4);
    let settings = AudioEncoderSettings { bitrate: Bitrate::from_kbps(24), ..Default::default() };
    let coarse = |fec: bool, loss: f32| {
        let mut encoder = encoder(&settings);
        encoder.set_fec(fec).unwrap();
        encoder.set_expected_loss(loss).unwrap();
        packets(encoder.as_mut(), &pcm, 1)
    };
    assert_eq!(coarse(true, 0.0), coarse(false, 0.0));
    assert_ne!(coarse(true, 0.2), coarse(false, 0.2));
}

#[test]
fn settings_out_of_range_are_named() {
    let named = |settings: AudioEncoderSettings| match audio_encoder(Codec::Opus, &settings) {
        Err(CodecError::InvalidSetting { field, .. }) => field,
        Err(error) => panic!("{error}"),
        Ok(_) => "accepted",
    };
    let base = AudioEncoderSettings::default;
    assert_eq!(named(AudioEncoderSettings { sample_rate: 44_100, ..base() }), "sample_rate");
    assert_eq!(named(AudioEncoderSettings { channels: 3, ..base() }), "channels");
    assert_eq!(named(AudioEncoderSettings { frame: Duration::from_millis(15), ..base() }), "frame");
    assert_eq!(named(AudioEncoderSettings { bitrate: Bitrate::from_kbps(5), ..base() }), "bitrate");
    assert_eq!(named(AudioEncoderSettings { complexity: 11, ..base() }), "complexity");
    assert_eq!(named(AudioEncoderSettings { expected_loss: f32::NAN, ..base() }), "expected_loss");
    let mut encoder = encoder(&base());
    assert!(encoder.set_bitrate(Bitrate::from_kbps(511)).is_err());
    assert!(encoder.set_complexity(11).is_err());
    assert!(encoder.set_expected_loss(1.1).is_err());
    assert!(matches!(encoder.encode(&[0.0; 959]), Err(CodecError::AudioLength { actual: 959, .. })));
    let odd = AudioDecoderSettings { sample_rate: 44_100, channels: 1 };
    assert!(matches!(audio_decoder(Codec::Opus, &odd), Err(CodecError::InvalidSetting { field: "sample_rate", .. })));
}
