//! Thins the pictures of a source out to a number per second, evenly.

use std::time::Duration;

/// How much earlier than one slot after the last a picture may go out, as a share of a slot. It is what an unsteady source
/// needs, and neither half nor a third: of a source twice or three times too fast, no picture comes just when a slot opens.
const EARLY: f64 = 0.4;

/// A source faster by no more than this loses nothing. Two clocks never agree, and a loop that sleeps 33 ms makes a little
/// more than 30 pictures a second.
const ALMOST: f64 = 1.02;

/// Gives each picture a slot of its own. A picture that comes before its slot opens waits for it, and a newer one takes its
/// place.
///
/// The slots are those of the generic cell rate algorithm (ITU-T I.371, annex A): they follow a source that is slower than
/// the limit, and in any time no more open than fit into it, and two.
#[derive(Debug, Default)]
pub(super) struct FrameLimit {
    /// When the slot opened that the last picture went out in.
    opened: Option<Duration>,
    /// A picture waits for the next slot.
    waiting: bool,
    /// A picture lost its place since the last went out.
    thinned: bool,
    /// The same of the slot before: the source is too fast, and held to the limit itself.
    too_fast: bool,
}

/// What becomes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes out at once.
    Pass,
    /// It waits so long, unless a newer one takes its place; then [`FrameLimit::release`] is to be called.
    Wait(Duration),
}

impl FrameLimit {
    /// What becomes of the picture at `position` on the clock of its source, where `per_second` are allowed. It takes the
    /// place of one that waits.
    pub(super) fn offer(&mut self, position: Duration, per_second: u32) -> Verdict {
        self.thinned |= self.waiting;
        let wait = self.opens(per_second).map_or(Duration::ZERO, |opens| opens.saturating_sub(position));
        self.waiting = !wait.is_zero();
        if self.waiting {
            return Verdict::Wait(wait);
        }
        self.pass(position, per_second);
        Verdict::Pass
    }

    /// The picture that waited goes out.
    pub(super) fn release(&mut self, per_second: u32) {
        self.waiting = false;
        self.pass(Duration::ZERO, per_second);
    }

    fn pass(&mut self, position: Duration, per_second: u32) {
        let latest = position.saturating_sub(slot(per_second).mul_f64(EARLY));
        self.opened = Some(self.opens(per_second).map_or(latest, |opens| opens.max(latest)));
        self.too_fast = std::mem::take(&mut self.thinned);
    }

    /// When the next slot opens; `None` before the first picture.
    fn opens(&self, per_second: u32) -> Option<Duration> {
        let slot = slot(per_second);
        let distance = if self.too_fast { slot } else { slot.div_f64(ALMOST) };
        self.opened.map(|opened| opened + distance)
    }
}

fn slot(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECONDS: f64 = 20.0;

    /// A picture that went out: when it came and when it went, in seconds.
    #[derive(Clone, Copy, Debug)]
    struct Sent {
        came: f64,
        went: f64,
    }

    /// Offers pictures as they come, and releases those that waited long enough, as a source does.
    fn send(pictures: impl IntoIterator<Item = f64>, per_second: u32) -> Vec<Sent> {
        let mut limit = FrameLimit::default();
        let mut held: Option<Sent> = None;
        let mut sent = Vec::new();
        for came in pictures {
            if let Some(due) = held.take_if(|held| held.went <= came) {
                limit.release(per_second);
                sent.push(due);
            }
            match limit.offer(Duration::from_secs_f64(came), per_second) {
                Verdict::Pass => {
                    held = None;
                    sent.push(Sent { came, went: came });
                }
                Verdict::Wait(wait) => held = Some(Sent { came, went: came + wait.as_secs_f64() }),
            }
        }
        sent.extend(held);
        sent
    }

    /// Pictures of [`SECONDS`], each early or late by up to `jitter` of the time between two, in their order.
    fn source(rate: f64, jitter: f64, shifts: &[f64]) -> Vec<f64> {
        let mut pictures: Vec<f64> = (0..(rate * SECONDS) as usize)
            .map(|n| (n as f64 + 3.0 + jitter * shifts[n % shifts.len()]) / rate)
            .collect();
        pictures.sort_by(f64::total_cmp);
        pictures
    }

    /// The least and the greatest time between two.
    fn gaps(times: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        let gaps = times.clone().zip(times.skip(1)).map(|(a, b)| b - a);
        (gaps.clone().fold(f64::MAX, f64::min), gaps.fold(0.0, f64::max))
    }

    fn shifts() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0, 23)
    }

    #[test]
    fn a_source_that_is_too_fast_is_thinned_out_to_the_limit_evenly() {
        let cases =
            [(60.0, 20), (60.0, 30), (50.0, 30), (30.0, 20), (30.0, 15), (30.0, 7), (25.0, 10), (60.0, 1), (999.0, 60)];
        for (rate, limit) in cases {
            let sent = send(source(rate, 0.0, &[0.0]), limit);
            let expected = (SECONDS * f64::from(limit)) as usize;
            // One before the first full slot, and the last, which goes out after the end.
            assert!(sent.len().abs_diff(expected) <= 2 + expected / 100, "{rate} to {limit}: {} in 20 s", sent.len());
            // After the first slot, which may be shorter.
            let (least, most) = gaps(sent[2..].iter().map(|s| s.went));
            let slot = 1.0 / f64::from(limit);
            let even = least >= slot - 0.75 / rate && most <= slot + 0.75 / rate;
            assert!(even, "{rate} to {limit}: {least} to {most} s");
            let (_, most) = gaps(sent.iter().map(|s| s.came));
            assert!(most <= slot + 1.01 / rate, "{rate} to {limit}: nothing of {most} s was shown");
            // But the last, for which there is no newer one.
            let longest = sent.iter().rev().skip(1).map(|s| s.went - s.came).fold(0.0, f64::max);
            assert!(longest <= 1.01 / rate, "{rate} to {limit}: a picture waited {longest} s");
        }
    }

    #[test]
    fn a_new_limit_holds_from_the_next_picture_on() {
        let mut limit = FrameLimit::default();
        let mut count = |per_second, from: u32| {
            let pictures = (from..from + 250).map(|n| Duration::from_millis(40) * n);
            pictures.filter(|at| limit.offer(*at, per_second) == Verdict::Pass).count()
        };
        assert_eq!(count(25, 0), 250);
        // Nothing is released here, so what passes are the first pictures behind the openings.
        let slow = count(10, 250);
        assert!((98..=102).contains(&slow), "{slow}");
        let fast = count(25, 500);
        assert!(fast >= 249, "{fast}");
    }

    proptest! {
        #[test]
        fn never_more_pass_in_any_time_than_there_are_slots_and_two(
            rate in 1.0..240.0, jitter in 0.0..2.0, shifts in shifts(), limit in 1u32..=60,
        ) {
            let sent = send(source(rate, jitter, &shifts), limit);
            for (n, from) in sent.iter().enumerate() {
                for (count, to) in (1u32..).zip(&sent[n..]) {
                    let slots = (to.went - from.went) * f64::from(limit) * ALMOST;
                    prop_assert!(f64::from(count) <= slots + 2.0 + 1e-6, "{} pictures in {} slots", count, slots);
                }
            }
        }

        #[test]
        fn a_source_that_is_not_too_fast_loses_nothing_however_unsteady_it_is(
            slower in 0.1..1.01, jitter in 0.0..0.45, shifts in shifts(), limit in 1u32..=60,
        ) {
            let pictures = source(slower * f64::from(limit), jitter, &shifts);
            prop_assert_eq!(send(pictures.iter().copied(), limit).len(), pictures.len());
        }

        #[test]
        fn the_last_picture_always_goes_out_and_none_waits_longer_than_a_slot(
            rate in 1.0..240.0, jitter in 0.0..2.0, shifts in shifts(), limit in 1u32..=60,
        ) {
            let pictures = source(rate, jitter, &shifts);
            let sent = send(pictures.iter().copied(), limit);
            prop_assert_eq!(sent.last().map(|s| s.came), pictures.last().copied());
            for picture in &sent {
                prop_assert!(picture.went - picture.came <= 1.0 / f64::from(limit) + 1e-6, "{:?}", picture);
            }
        }
    }
}
