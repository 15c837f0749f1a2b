//! Sound that is made up where no packet is, and what it counts as.

use std::time::Instant;

use super::{AudioPlayout, PacketDecoder, PlayoutStats, SILENCE};

/// A missing stretch longer than this is jumped over.
const LONGEST_CONCEALMENT_MICROS: i64 = 500_000;
/// A pause this long without any packet counts as concealment until it turns out to be one that the sender made.
const LONGEST_OPEN_PAUSE_MICROS: i64 = 1_000_000;
/// How long what is made up then takes to fade out: a decoder goes on with noise for ever.
const FADE_OUT_MICROS: i64 = 500_000;

/// What samples that were made up stand for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    /// The sender sent nothing on purpose.
    Comfort,
    /// Packets that are lost or late.
    Concealment,
    /// It is not known yet.
    Open,
}

/// What was made up lately.
#[derive(Debug, Default)]
pub(super) struct Concealment {
    /// The last sample emitted was made up for a missing packet.
    is_running: bool,
    /// Samples made up since the last that came out of a packet.
    made_up: i64,
    /// What was made up since packets ran out and is not yet known to be concealment or comfort.
    open: MadeUp,
    /// What of it is counted as concealment already since it goes on for so long, until it turns out to have been comfort.
    booked: MadeUp,
    /// Whether a run of concealment was counted with it.
    booked_event: bool,
}

/// Samples of each channel that were made up.
#[derive(Clone, Copy, Debug, Default)]
struct MadeUp {
    samples: u64,
    /// Those of them that are silent.
    silent: u64,
}

impl Concealment {
    /// Samples of each channel made up since the last that came out of a packet.
    pub(super) fn made_up(&self) -> i64 {
        self.made_up
    }

    /// Sound came out of a packet.
    pub(super) fn packet_decoded(&mut self) {
        (self.is_running, self.made_up) = (false, 0);
    }

    /// Sound came out of the redundancy of a later packet: what it stands for is missing all the same.
    fn packet_recovered(&mut self) {
        self.made_up = 0;
    }

    /// What comes next has nothing to do with what was missing.
    pub(super) fn timeline_ended(&mut self) {
        self.is_running = false;
    }

    fn count(&mut self, made_up: MadeUp, pause: Pause, stats: &mut PlayoutStats) {
        match pause {
            Pause::Comfort => stats.comfort_samples += made_up.samples,
            Pause::Concealment => {
                stats.concealed_samples += made_up.samples;
                stats.silent_concealed_samples += made_up.silent;
                if !std::mem::replace(&mut self.is_running, true) {
                    stats.concealment_events += 1;
                }
            }
            Pause::Open => {
                self.open.samples += made_up.samples;
                self.open.silent += made_up.silent;
            }
        }
    }

    /// Counts what is open as concealment for now: nothing may ever come that tells what it was.
    fn book(&mut self, stats: &mut PlayoutStats) {
        let open = std::mem::take(&mut self.open);
        if open.samples == 0 {
            return;
        }
        self.booked_event |= !self.is_running;
        self.count(open, Pause::Concealment, stats);
        self.booked.samples += open.samples;
        self.booked.silent += open.silent;
    }

    fn settle(&mut self, pause: Pause, stats: &mut PlayoutStats) {
        let booked = std::mem::take(&mut self.booked);
        let booked_event = std::mem::take(&mut self.booked_event);
        if matches!(pause, Pause::Comfort) && booked.samples > 0 {
            stats.concealed_samples -= booked.samples;
            stats.silent_concealed_samples -= booked.silent;
            if booked_event {
                stats.concealment_events -= 1;
                self.is_running = false;
            }
            self.count(booked, Pause::Comfort, stats);
        }
        let open = std::mem::take(&mut self.open);
        if open.samples > 0 {
            self.count(open, pause, stats);
        }
    }
}

impl<D: PacketDecoder> AudioPlayout<D> {
    /// The packet at the cursor is missing, and `sequence`, which begins at `start`, is there.
    pub(super) fn pass_missing(&mut self, now: Instant, start: i64, sequence: u64) {
        self.settle(Pause::Concealment);
        let Some(position) = &mut self.position else { return };
        // What was made up while waiting stands for the beginning of what is missing.
        let waited = std::mem::take(&mut position.waited);
        position.cursor += waited;
        let gap = start - position.cursor;
        let missing = (sequence - position.next).saturating_sub(self.padding.range(..sequence).count() as u64);
        let packet_len = position.packet_len;
        if gap <= packet_len
            && let Some(packet) = self.packets.get(&sequence)
            && self.decoder.can_recover(&packet.payload)
        {
            // The packet before it could have been there at the same time.
            let transit = self.timeline.delay_of(packet.start - packet_len, packet.arrival);
            self.control.packet_arrived(packet.arrival, transit);
        }
        let Some(position) = &mut self.position else { return };
        if gap <= 0 || self.timeline.micros(gap) > LONGEST_CONCEALMENT_MICROS {
            self.stats.packets_lost += missing;
            if gap > 0 || waited > 0 {
                self.jump_to(start, sequence);
            } else {
                position.cursor = start;
                position.next = sequence;
            }
            return;
        }
        let len = position.packet_len.min(gap);
        if gap > len {
            // One packet at a time: those behind may still come.
            position.cursor += len;
            if missing > 1 {
                position.next += 1;
                self.stats.packets_lost += 1;
            }
            self.conceal(len, Pause::Concealment);
            return;
        }
        position.cursor = start;
        position.next = sequence;
        self.stats.packets_lost += missing;
        if waited == 0 && self.recover(sequence, len) {
            return;
        }
        // Where there is no sound to be hurt is the place to raise the delay.
        let deficit = self.control.deficit(now, self.timeline.micros(len)) / 2_500 * 2_500;
        self.control.moved(now, deficit);
        self.conceal(len + self.timeline.samples(deficit), Pause::Concealment);
    }

    /// Decodes the `len` samples in front of the packet `sequence` from the redundancy in it. Answers whether there was any.
    fn recover(&mut self, sequence: u64, len: i64) -> bool {
        let Some(packet) = self.packets.get(&sequence) else { return false };
        let samples = usize::try_from(len).unwrap_or_default();
        let mut recovered = false;
        let arrival = Some(packet.arrival);
        let added = self.queue.append(arrival, |out| recovered = self.decoder.recover(&packet.payload, samples, out));
        self.stats.recovered_samples += added as u64;
        if added > 0 {
            self.concealment.packet_recovered();
        }
        if added < samples && added > 0 {
            self.conceal((samples - added) as i64, Pause::Concealment);
        }
        recovered && added > 0
    }

    /// Nothing is there: the cursor waits while something is made up, in units of 2.5 ms.
    pub(super) fn wait(&mut self, samples: usize) {
        let samples = samples.next_multiple_of((self.config.sample_rate as usize / 400).max(1));
        self.conceal(samples as i64, Pause::Open);
        if let Some(position) = &mut self.position {
            position.waited += samples as i64;
            if self.timeline.micros(position.waited) > LONGEST_OPEN_PAUSE_MICROS {
                self.concealment.book(&mut self.stats);
            }
        }
    }

    /// Makes up `samples` of each channel, which stand for `pause`.
    pub(super) fn conceal(&mut self, samples: i64, pause: Pause) {
        let Ok(samples @ 1..) = usize::try_from(samples) else { return };
        let values = samples * usize::from(self.config.channels);
        let gain_from = self.gain_after(self.concealment.made_up);
        self.concealment.made_up += samples as i64;
        let gain_to = self.gain_after(self.concealment.made_up);
        let mut energy = 0.0;
        self.queue.append(None, |out| {
            let before = out.len();
            self.decoder.conceal(samples, out);
            out.resize(before + values, 0.0);
            if gain_to < 1.0 {
                for (n, sample) in out[before..].iter_mut().enumerate() {
                    *sample *= gain_from + (gain_to - gain_from) * n as f32 / values as f32;
                }
            }
            energy = out[before..].iter().map(|sample| sample * sample).sum::<f32>() / values as f32;
        });
        let silent = if energy < SILENCE { samples as u64 } else { 0 };
        self.concealment.count(MadeUp { samples: samples as u64, silent }, pause, &mut self.stats);
    }

    /// How loud what is made up is to be when so many samples have been made up before it.
    pub(super) fn gain_after(&self, made_up: i64) -> f32 {
        let left = LONGEST_OPEN_PAUSE_MICROS + FADE_OUT_MICROS - self.timeline.micros(made_up);
        (left as f32 / FADE_OUT_MICROS as f32).clamp(0.0, 1.0)
    }

    /// Now it is known what was made up while waiting.
    pub(super) fn settle(&mut self, pause: Pause) {
        self.concealment.settle(pause, &mut self.stats);
    }
}
