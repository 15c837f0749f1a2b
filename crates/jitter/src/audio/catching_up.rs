//! Moving the delay of playout: by splices where the sound allows it, or by a jump.

use std::time::Instant;

use super::{AudioPlayout, FADE_MICROS, PacketDecoder, Pause, control::Adjustment, stretch};

/// What is more than this above the target is skipped at once; the rest is caught up with.
const MOST_EXCESS_MICROS: i64 = 500_000;

impl<D: PacketDecoder> AudioPlayout<D> {
    /// Skips what is much too old to catch up with by stretching.
    pub(super) fn cut_excess(&mut self, now: Instant) {
        let limit = self.control.target_micros(now) + MOST_EXCESS_MICROS;
        let baseline = self.control.baseline();
        let age = |start: i64| self.timeline.delay_of(start, now) - baseline;
        let waiting = self.packets.first_key_value().map(|(_, first)| age(first.start));
        // The oldest packet may have waited long behind a pause; only when it could have played is it too old.
        let Some(position) = &self.position else { return };
        if waiting.is_none_or(|waiting| waiting <= limit) || age(position.cursor) <= limit {
            return;
        }
        let keep = self.packets.iter().find(|(_, packet)| age(packet.start) <= limit).map(|(sequence, _)| *sequence);
        let Some(keep) = keep.or_else(|| self.packets.last_key_value().map(|(sequence, _)| *sequence)) else { return };
        let kept = self.packets.split_off(&keep);
        self.stats.packets_discarded += self.packets.len() as u64;
        self.packets = kept;
        let Some(start) = self.packets.first_key_value().map(|(_, packet)| packet.start) else { return };
        self.settle(Pause::Concealment);
        self.queue.clear();
        self.jump_to(start, keep);
    }

    /// Moves the delay towards its target by a splice, if there is reason and a fit place for one.
    pub(super) fn adjust(&mut self, now: Instant, wanted: usize) {
        let Some(position) = &self.position else { return };
        if position.waited > 0 || self.queue.len() < wanted {
            self.control.nothing_plays();
            return;
        }
        let first = position.cursor - self.queue.len() as i64;
        let transit = self.timeline.delay_of(first, now);
        // How far into this pull the next packet would be needed, if every packet were as long as a few pulls.
        let offset = self.timeline.micros((self.queue.len() % wanted) as i64);
        let chunk = self.timeline.micros(wanted as i64);
        match self.control.decide(now, transit, offset, chunk) {
            Adjustment::None => {}
            Adjustment::Shorten { most, similarity } => self.shorten(now, most, similarity),
            Adjustment::Lengthen { similarity } => self.lengthen(now, similarity),
        }
    }

    fn shorten(&mut self, now: Instant, most: i64, similarity: f32) {
        let channels = usize::from(self.config.channels);
        let most = usize::try_from(self.timeline.samples(most)).unwrap_or_default();
        // Two of the longest periods have to be there.
        let ahead = usize::try_from(self.timeline.samples(30_000)).unwrap_or_default();
        while self.queue.len() < ahead && self.next_is_in_order() {
            self.decode_front();
        }
        let samples = self.queue.samples();
        let fade = usize::try_from(self.timeline.samples(FADE_MICROS)).unwrap_or_default();
        let cut = most.min(self.queue.len().saturating_sub(fade));
        if cut > 0 && self.control.is_pause(&samples[..(cut + fade) * channels]) {
            let end = &samples[cut * channels..(cut + fade) * channels];
            let faded = stretch::crossfade(&samples[..fade * channels], end, channels);
            self.queue.replace_front(cut + fade, &faded);
            self.removed(now, cut);
            return;
        }
        let splice = stretch::find_splice(samples, channels, self.config.sample_rate, 0, most);
        if let Some(splice) = splice.filter(|splice| splice.similarity >= similarity) {
            let shorter = stretch::shortened(samples, channels, splice.lag);
            self.queue.replace_front(2 * splice.lag, &shorter);
            self.removed(now, splice.lag);
        }
    }

    fn lengthen(&mut self, now: Instant, similarity: f32) {
        let channels = usize::from(self.config.channels);
        let samples = self.queue.samples();
        let splice = stretch::find_splice(samples, channels, self.config.sample_rate, 0, usize::MAX);
        let similarity = if self.control.is_pause(samples) { f32::MIN } else { similarity };
        if let Some(splice) = splice.filter(|splice| splice.similarity >= similarity) {
            let longer = stretch::lengthened(samples, channels, splice.lag);
            self.queue.replace_front(splice.lag, &longer);
            self.stats.inserted_samples_for_deceleration += splice.lag as u64;
            self.control.moved(now, self.timeline.micros(splice.lag as i64));
        }
    }

    fn removed(&mut self, now: Instant, samples: usize) {
        self.stats.removed_samples_for_acceleration += samples as u64;
        self.control.moved(now, -self.timeline.micros(samples as i64));
    }
}
