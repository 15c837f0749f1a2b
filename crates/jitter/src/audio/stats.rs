use std::time::Duration;

/// What an [`AudioPlayout`](crate::AudioPlayout) counted since it was made.
///
/// The names are those of the W3C statistics (`RTCInboundRtpStreamStats`) in this language's spelling, where there is one.
/// Samples are counted for one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutStats {
    /// Samples given to the reader since the first packet began to play, of whatever origin.
    pub total_samples_received: u64,
    /// Samples made up for packets that were lost or late. A pause of more than a second is counted here while it lasts, and moves
    /// to `comfort_samples` when what comes next tells that the sender made it.
    pub concealed_samples: u64,
    /// Of these, those that are next to silent.
    pub silent_concealed_samples: u64,
    /// Runs of concealed samples.
    pub concealment_events: u64,
    /// Samples inserted to raise the delay.
    pub inserted_samples_for_deceleration: u64,
    /// Samples removed to lower the delay.
    pub removed_samples_for_acceleration: u64,
    /// Sum, over the samples emitted, of the time from the arrival of their packet to their way out.
    pub jitter_buffer_delay: Duration,
    /// Sum, over the samples emitted, of the delay that was aimed for.
    pub jitter_buffer_target_delay: Duration,
    /// Samples emitted that came out of packets.
    pub jitter_buffer_emitted_count: u64,
    /// Packets that came in, duplicates apart.
    pub packets_received: u64,
    /// Packets that came too late, or were skipped to catch up.
    pub packets_discarded: u64,
    /// Packets whose turn came without them.
    pub packets_lost: u64,
    /// Packets that were there already.
    pub packets_duplicated: u64,
    /// Packets that the decoder could not decode.
    pub packets_undecodable: u64,
    /// Samples made up while the other side sent nothing on purpose. They do not count as concealed.
    pub comfort_samples: u64,
    /// Samples of lost packets decoded from redundancy. They do not count as concealed.
    pub recovered_samples: u64,
    /// Times the timeline began anew since timestamps or arrival times jumped.
    pub resets: u64,
}

impl PlayoutStats {
    /// Mean time that emitted samples spent here; zero before the first.
    pub fn mean_delay(&self) -> Duration {
        per_sample(self.jitter_buffer_delay, self.jitter_buffer_emitted_count)
    }

    /// Share of concealed samples, 0 to 1.
    pub fn concealed_ratio(&self) -> f64 {
        self.concealed_samples as f64 / self.total_samples_received.max(1) as f64
    }
}

fn per_sample(sum: Duration, samples: u64) -> Duration {
    Duration::from_nanos(u64::try_from(sum.as_nanos() / u128::from(samples.max(1))).unwrap_or(u64::MAX))
}
