use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Decoded samples on their way out, and where each run of them came from.
#[derive(Debug)]
pub(crate) struct SampleQueue {
    channels: usize,
    /// Interleaved; what is before `head` is gone.
    data: Vec<f32>,
    head: usize,
    runs: VecDeque<Run>,
}

/// Consecutive samples of one origin.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Samples of each channel.
    len: usize,
    /// When their packet arrived; none for samples that were made up.
    arrival: Option<Instant>,
}

impl SampleQueue {
    pub(crate) fn new(channels: u16) -> Self {
        Self { channels: usize::from(channels), data: Vec::new(), head: 0, runs: VecDeque::new() }
    }

    /// Samples of each channel.
    pub(crate) fn len(&self) -> usize {
        (self.data.len() - self.head) / self.channels
    }

    /// The interleaved samples.
    pub(crate) fn samples(&self) -> &[f32] {
        &self.data[self.head..]
    }

    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.head = 0;
        self.runs.clear();
    }

    /// Lets `write` append interleaved samples that came out of a packet at `arrival`. Answers how many of each channel it
    /// appended; a torn last one is dropped.
    pub(crate) fn append(&mut self, arrival: Option<Instant>, write: impl FnOnce(&mut Vec<f32>)) -> usize {
        self.compact();
        let before = self.data.len();
        write(&mut self.data);
        let added = self.data.len().saturating_sub(before) / self.channels;
        self.data.resize(before + added * self.channels, 0.0);
        if added > 0 {
            self.runs.push_back(Run { len: added, arrival });
        }
        added
    }

    /// Puts `samples` in place of the first `count` samples of each channel.
    pub(crate) fn replace_front(&mut self, count: usize, samples: &[f32]) {
        let count = count.min(self.len());
        let arrival = self.runs.front().and_then(|run| run.arrival);
        self.drop_runs(count, |_| {});
        self.runs.push_front(Run { len: samples.len() / self.channels, arrival });
        self.data.splice(self.head..self.head + count * self.channels, samples.iter().copied());
    }

    /// Fades from `tail` into the first samples: where something was cut out.
    pub(crate) fn fade_from(&mut self, tail: &[f32]) {
        let frames = (tail.len() / self.channels).min(self.len());
        for frame in 0..frames {
            let weight = (frame + 1) as f32 / (frames + 1) as f32;
            for channel in 0..self.channels {
                let at = frame * self.channels + channel;
                let sample = &mut self.data[self.head + at];
                *sample = tail[at] * (1.0 - weight) + *sample * weight;
            }
        }
    }

    /// Moves samples to `out`, silence behind the last. Answers how many of each channel came out of packets, and the sum of
    /// the times they waited.
    pub(crate) fn emit(&mut self, now: Instant, out: &mut [f32]) -> (u64, Duration) {
        let count = (out.len() / self.channels).min(self.len());
        let values = count * self.channels;
        out[..values].copy_from_slice(&self.data[self.head..self.head + values]);
        out[values..].fill(0.0);
        self.head += values;
        let (mut emitted, mut waited) = (0, Duration::ZERO);
        self.drop_runs(count, |run| {
            if let Some(arrival) = run.arrival {
                emitted += run.len as u64;
                waited += now.saturating_duration_since(arrival) * u32::try_from(run.len).unwrap_or(u32::MAX);
            }
        });
        (emitted, waited)
    }

    fn drop_runs(&mut self, mut count: usize, mut each: impl FnMut(Run)) {
        while let Some(run) = self.runs.front_mut() {
            let part = run.len.min(count);
            if part == 0 {
                return;
            }
            each(Run { len: part, ..*run });
            run.len -= part;
            count -= part;
            if run.len == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Frees what is gone, once it is most of the buffer.
    fn compact(&mut self) {
        if self.head * 2 > self.data.len() {
            self.data.drain(..self.head);
            self.head = 0;
        }
    }
}
