//! Ramps in the form of half a cosine, and the made-up end of a signal that broke off.

use std::f32::consts::PI;

/// The weight at sample `index` of a fade-in over `length` samples; 1 from there on.
pub(crate) fn rise(index: usize, length: usize) -> f32 {
    if index >= length { 1.0 } else { 0.5 - 0.5 * (PI * (index as f32 + 0.5) / length as f32).cos() }
}

/// The weight at sample `index` of a fade-out over `length` samples; 0 from there on.
pub(crate) fn fall(index: usize, length: usize) -> f32 {
    1.0 - rise(index, length)
}

/// Fades `samples` of `channels` in over their first `length` samples per channel.
pub(crate) fn fade_in(samples: &mut [f32], channels: usize, length: usize) {
    for (index, frame) in samples.chunks_exact_mut(channels).take(length).enumerate() {
        let weight = rise(index, length);
        frame.iter_mut().for_each(|sample| *sample *= weight);
    }
}

/// Fades `samples` of `channels` out over their first `length` samples per channel; silence follows.
pub(crate) fn fade_out(samples: &mut [f32], channels: usize, length: usize) {
    for (index, frame) in samples.chunks_exact_mut(channels).enumerate() {
        let weight = fall(index, length);
        frame.iter_mut().for_each(|sample| *sample *= weight);
    }
}

/// Appends what could follow `history` of `channels` to `tail`: its last samples backwards, fading out over at most
/// `length` samples per channel. The turning point is not repeated, so that no step is larger than those before it.
pub(crate) fn mirror(history: &[f32], channels: usize, length: usize, tail: &mut Vec<f32>) {
    let length = length.min((history.len() / channels).saturating_sub(1));
    for (index, frame) in history.chunks_exact(channels).rev().skip(1).take(length).enumerate() {
        let weight = fall(index, length);
        tail.extend(frame.iter().map(|sample| sample * weight));
    }
}

/// Keeps the last `length` samples per channel of `samples` in `history`.
pub(crate) fn remember(history: &mut Vec<f32>, samples: &[f32], channels: usize, length: usize) {
    let wanted = length * channels;
    let new = &samples[samples.len().saturating_sub(wanted)..];
    let kept = wanted - new.len();
    if history.len() > kept {
        history.drain(..history.len() - kept);
    }
    history.extend_from_slice(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_tail_has_no_larger_step_than_the_tone_and_ends_in_silence() {
        let tone: Vec<f32> = (0..480).map(|n| (n as f32 * 0.04 + 1.0).sin()).collect();
        let mut whole = tone.clone();
        mirror(&tone, 1, 240, &mut whole);
        assert_eq!(whole.len(), 720);
        let largest = |samples: &[f32]| samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(largest(&whole) <= largest(&tone) + 1e-6, "{} > {}", largest(&whole), largest(&tone));
        assert!(whole[719].abs() < 1e-4);
    }

    #[test]
    fn what_is_remembered_is_the_newest_and_bounded() {
        let mut history = Vec::new();
        remember(&mut history, &[1.0, 2.0], 1, 3);
        remember(&mut history, &[3.0, 4.0], 1, 3);
        assert_eq!(history, [2.0, 3.0, 4.0]);
        remember(&mut history, &[5.0, 6.0, 7.0, 8.0], 1, 3);
        assert_eq!(history, [6.0, 7.0, 8.0]);
    }

    #[test]
    fn nothing_follows_nothing() {
        let mut tail = Vec::new();
        mirror(&[], 2, 240, &mut tail);
        mirror(&[0.5, 0.5], 2, 240, &mut tail);
        assert!(tail.is_empty());
    }
}
