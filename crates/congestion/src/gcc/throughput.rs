use std::{collections::VecDeque, time::Duration};

use remotemedia_media::Bitrate;

/// What the receiver took in, over the last half second of its clock.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    /// Sending time, arrival and size.
    arrivals: VecDeque<(Duration, Duration, usize)>,
    bytes: usize,
}

const WINDOW: Duration = Duration::from_millis(500);
const MIN_WINDOW: Duration = Duration::from_millis(100);
const MIN_PACKETS: usize = 10;
const MAX_PACKETS: usize = 4_096;
/// With little traffic the window grows until it has enough packets, up to this.
const MAX_WINDOW: Duration = Duration::from_secs(2);

impl Throughput {
    pub(super) fn on_arrival(&mut self, sent: Duration, arrival: Duration, size: usize) {
        self.bytes = self.bytes.saturating_add(size);
        self.arrivals.push_back((sent, arrival, size));
        while let Some((_, first, size)) = self.arrivals.front().copied() {
            let span = arrival.saturating_sub(first);
            let enough = self.arrivals.len() > 2 * MIN_PACKETS;
            if !(span > MAX_WINDOW || (span > WINDOW && enough) || self.arrivals.len() > MAX_PACKETS) {
                break;
            }
            self.bytes -= size;
            self.arrivals.pop_front();
        }
    }

    /// `None` until there is enough to tell.
    pub(super) fn rate(&self) -> Option<Bitrate> {
        let ((first_sent, first, first_size), (_, last, last_size)) = (*self.arrivals.front()?, *self.arrivals.back()?);
        let received_in = last.saturating_sub(first);
        if self.arrivals.len() < MIN_PACKETS || received_in < MIN_WINDOW {
            return None;
        }
        let last_sent = self.arrivals.iter().map(|(sent, ..)| *sent).max()?;
        let sent_in = last_sent.saturating_sub(first_sent);
        // A queue that empties delivers faster than was sent: that is not what the path carries in the long run.
        let receive = (self.bytes - first_size) as f64 / received_in.as_secs_f64();
        let send = (self.bytes - last_size) as f64 / sent_in.max(MIN_WINDOW).as_secs_f64();
        Some(Bitrate::from_bps((receive.min(send) * 8.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_receivers_clock() {
        let mut throughput = Throughput::default();
        for i in 0..100 {
            throughput.on_arrival(Duration::from_millis(8 * i), Duration::from_millis(10 * i), 1_250);
        }
        assert_eq!(throughput.rate(), Some(Bitrate::from_kbps(1_000)));
    }
}
