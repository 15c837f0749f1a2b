//! One seeded call in virtual time: a sender, a network and a reader at a steady pace.

use std::{
    collections::BinaryHeap,
    f32::consts::TAU,
    time::{Duration, Instant},
};

use bytes::Bytes;
use remotemedia_jitter::{AudioPacket, AudioPlayout, PacketDecoder, PlayoutConfig, PlayoutStats, UndecodablePacket};
use remotemedia_media::RtpTimestamp;

pub(crate) const RATE: u32 = 48_000;
pub(crate) const FRAME: usize = 960;

/// A codec whose payload says which frame of the sender's signal it is: the whole signal is known, so concealment is seen.
pub(crate) struct Tape {
    /// Twenty seconds, played over and over: every signal here begins again then without a seam.
    signal: Vec<f32>,
    redundancy: bool,
}

impl Tape {
    pub(crate) fn new(signal: fn(u64) -> f32, redundancy: bool) -> Self {
        Self { signal: (0..20 * u64::from(RATE)).map(signal).collect(), redundancy }
    }

    fn frame(&self, index: u64, out: &mut Vec<f32>) {
        let start = index as usize % (self.signal.len() / FRAME) * FRAME;
        out.extend(&self.signal[start..start + FRAME]);
    }
}

fn index(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_be_bytes)
}

impl PacketDecoder for Tape {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), UndecodablePacket> {
        self.frame(index(payload).ok_or(UndecodablePacket)?, out);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        out.extend(std::iter::repeat_n(0.0, samples));
    }

    fn can_recover(&self, _next: &[u8]) -> bool {
        self.redundancy
    }

    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> bool {
        let Some(before) = index(next).and_then(|index| index.checked_sub(1)).filter(|_| self.redundancy) else {
            return false;
        };
        let start = out.len();
        self.frame(before, out);
        // The end of it is what the caller wants.
        out.drain(start..start + FRAME - samples);
        true
    }
}

/// Syllables of a pitch that glides, with pauses of silence between them.
pub(crate) fn speech(at: u64) -> f32 {
    let time = at as f32 / RATE as f32;
    let syllable = (time * 3.0).fract();
    let word_pause = (time * 0.5).fract() > 0.8;
    if syllable > 0.8 || word_pause {
        return 0.0;
    }
    let envelope = (syllable / 0.8 * TAU / 2.0).sin();
    let phase = 130.0 * time + 2.0 * (time * 0.7 * TAU).sin();
    let voice: f32 = (1..6).map(|n| (TAU * (phase * n as f32).fract()).sin() / n as f32).sum();
    0.2 * envelope * voice
}

/// A steady tone.
pub(crate) fn tone(at: u64) -> f32 {
    // 200 Hz: 240 samples a period.
    0.5 * (TAU * (at % 240) as f32 / 240.0).sin()
}

/// Loud noise without any pitch.
pub(crate) fn noise(at: u64) -> f32 {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    0.3 * ((mixed >> 40) as f32 / (1 << 23) as f32 - 1.0)
}

/// What the network does to one packet.
pub(crate) enum Fate {
    /// It takes so long.
    Delivered(Duration),
    Lost,
}

pub(crate) struct Call {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) config: PlayoutConfig,
    pub(crate) signal: fn(u64) -> f32,
    pub(crate) redundancy: bool,
    /// How much faster the sender's clock runs, in millionths.
    pub(crate) sender_ppm: f64,
    /// Length of a pull and when the first one is.
    pub(crate) pull: Duration,
    pub(crate) phase: Duration,
    /// How late pulls may be; one in a hundred is five times as late. The next one is on time again.
    pub(crate) lateness: Duration,
}

impl Call {
    pub(crate) fn new(seed: u64, length: Duration) -> Self {
        Self {
            seed,
            length,
            config: PlayoutConfig::opus(1),
            signal: speech,
            redundancy: false,
            sender_ppm: 0.0,
            pull: Duration::from_millis(10),
            phase: Duration::from_micros(3_700),
            lateness: Duration::ZERO,
        }
    }

    /// Runs the call. `network` decides on the packet sent at a time since the start; `watch` sees each pull.
    pub(crate) fn run(
        &self,
        mut network: impl FnMut(&mut Random, Duration) -> Fate,
        mut watch: impl FnMut(Duration, &[f32], &AudioPlayout<Tape>),
    ) -> PlayoutStats {
        let mut random = Random(self.seed);
        let epoch = Instant::now();
        let tape = Tape::new(self.signal, self.redundancy);
        let mut playout = AudioPlayout::new(self.config, tape).expect("a legal configuration");
        let mut flying: BinaryHeap<std::cmp::Reverse<(Duration, u64)>> = BinaryHeap::new();
        let frame_time = Duration::from_secs_f64(0.02 / (1.0 + self.sender_ppm / 1e6));
        let (mut sent, mut turn) = (0_u64, self.phase);
        let mut reader = Random(self.seed ^ 0x5eed);
        let mut out = vec![0.0; (self.pull.as_micros() as usize * RATE as usize) / 1_000_000];
        while turn < self.length {
            let usual = reader.up_to(self.lateness);
            let next_pull = turn + if reader.unit() < 0.01 { usual * 5 } else { usual };
            while frame_time.mul_f64(sent as f64) <= next_pull {
                let at = frame_time.mul_f64(sent as f64);
                if let Fate::Delivered(delay) = network(&mut random, at) {
                    flying.push(std::cmp::Reverse((at + delay, sent)));
                }
                sent += 1;
            }
            while flying.peek().is_some_and(|arrival| arrival.0.0 <= next_pull) {
                let Some(std::cmp::Reverse((arrival, index))) = flying.pop() else { break };
                playout.insert(packet(index, index as u32, epoch + arrival));
            }
            playout.pull(epoch + next_pull, &mut out);
            watch(next_pull, &out, &playout);
            turn += self.pull;
        }
        playout.stats()
    }
}

/// Packet number `sequence` with frame `frame` of the signal: both start near a wrap.
pub(crate) fn packet(sequence: u64, frame: u32, arrival: Instant) -> AudioPacket {
    AudioPacket {
        sequence: 65_000 + sequence,
        timestamp: RtpTimestamp((u32::MAX - 50_000).wrapping_add(frame.wrapping_mul(FRAME as u32))),
        payload: Bytes::copy_from_slice(&u64::from(frame).to_be_bytes()),
        arrival,
    }
}

/// A pseudo-random sequence (xorshift64*), the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform between 0 and `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }
}

/// One line of figures.
pub(crate) fn report(name: &str, seed: u64, stats: &PlayoutStats) {
    println!(
        "{name}: seed {seed}, delay {:.1} ms (target {:.1}), concealed {:.2} % in {} events, recovered {:.2} %, removed {} and \
         inserted {} samples of {}, discarded {}, lost {}",
        stats.mean_delay().as_secs_f64() * 1e3,
        stats.jitter_buffer_target_delay.as_secs_f64() * 1e3 / stats.jitter_buffer_emitted_count.max(1) as f64,
        stats.concealed_ratio() * 100.0,
        stats.concealment_events,
        stats.recovered_samples as f64 * 100.0 / stats.total_samples_received.max(1) as f64,
        stats.removed_samples_for_acceleration,
        stats.inserted_samples_for_deceleration,
        stats.total_samples_received,
        stats.packets_discarded,
        stats.packets_lost,
    );
}
