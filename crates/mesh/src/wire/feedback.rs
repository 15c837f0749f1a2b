//! What was sent, and what the receiver said of it (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use remotemedia_congestion::{PacketResult, ProbeId, SentPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};

/// Numbers packets for the whole transport, and matches reports with them.
#[derive(Debug, Default)]
pub(super) struct SendHistory {
    /// Packets without a verdict and those reported lost; a hole has been reported as arrived.
    packets: VecDeque<Option<SentPacket>>,
    /// Extended number of the first of them.
    first: u64,
    reference: ReferenceTime,
}

/// Packets kept: eight seconds of 1,000 packets each.
const MAX_PACKETS: usize = 8_192;

impl SendHistory {
    /// Notes a packet that goes out now; its number on the wire is the lower 16 bits of the answer's.
    pub(super) fn send(&mut self, now: Instant, size: usize, probe: Option<ProbeId>) -> SentPacket {
        let sequence = self.first + self.packets.len() as u64;
        let packet = SentPacket { sequence, size, sent_at: now, probe };
        if self.packets.len() == MAX_PACKETS {
            self.packets.pop_front();
            self.first += 1;
        }
        self.packets.push_back(Some(packet));
        packet
    }

    /// What a report says of the packets known here, in the order of sending. Reports about anything else say nothing.
    pub(super) fn on_feedback(&mut self, feedback: &TransportLayerCc) -> Vec<PacketResult> {
        let Some(first) = self.extend(feedback.base_sequence_number) else { return Vec::new() };
        let mut arrival = self.reference.extend(feedback.reference_time);
        let mut deltas = feedback.recv_deltas.iter();
        let mut results = Vec::new();
        let symbols = symbols(&feedback.packet_chunks).take(usize::from(feedback.packet_status_count));
        for (sequence, symbol) in (first..).zip(symbols) {
            let arrived = match symbol {
                SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta => {
                    let Some(delta) = deltas.next() else { break };
                    arrival = arrival.saturating_add(delta.delta);
                    Some(Duration::from_micros(u64::try_from(arrival).unwrap_or_default()))
                }
                SymbolTypeTcc::PacketNotReceived => None,
                // It arrived, nobody knows when: neither a loss nor a time to learn from.
                SymbolTypeTcc::PacketReceivedWithoutDelta => continue,
            };
            let Some(index) = sequence.checked_sub(self.first).and_then(|i| usize::try_from(i).ok()) else { continue };
            let Some(slot) = self.packets.get_mut(index) else { break };
            let Some(sent) = *slot else { continue };
            if arrived.is_some() {
                *slot = None;
            }
            results.push(PacketResult { sent, arrived_at: arrived });
        }
        while let Some(None) = self.packets.front() {
            self.packets.pop_front();
            self.first += 1;
        }
        results
    }

    /// The number that is nearest to the newest packet; `None` if no packet has had it.
    fn extend(&self, sequence: u16) -> Option<u64> {
        let newest = (self.first + self.packets.len() as u64).checked_sub(1)?;
        let behind = (newest as u16).wrapping_sub(sequence);
        newest.checked_sub(u64::from(behind))
    }
}

fn symbols(chunks: &[PacketStatusChunk]) -> impl Iterator<Item = SymbolTypeTcc> {
    chunks.iter().flat_map(|chunk| {
        let (run, vector) = match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                (Some(std::iter::repeat_n(run.packet_status_symbol, usize::from(run.run_length))), None)
            }
            PacketStatusChunk::StatusVectorChunk(vector) => (None, Some(vector.symbol_list.iter().copied())),
        };
        run.into_iter().flatten().chain(vector.into_iter().flatten())
    })
}

/// Extends the 24-bit reference time, which counts 64 ms and wraps after twelve days.
#[derive(Debug, Default)]
struct ReferenceTime {
    last: Option<(u32, i64)>,
}

impl ReferenceTime {
    const BITS: u32 = 24;
    const TICK_MICROS: i64 = 64_000;
    /// Room for deltas that go back behind the first report.
    const ORIGIN_MICROS: i64 = 3_600_000_000;

    /// Microseconds since an origin that stays the same.
    fn extend(&mut self, reference: u32) -> i64 {
        let (last, micros) = *self.last.get_or_insert((reference, Self::ORIGIN_MICROS));
        let shift = 32 - Self::BITS;
        let ticks = (reference.wrapping_sub(last) << shift) as i32 >> shift;
        let micros = micros.saturating_add(i64::from(ticks) * Self::TICK_MICROS).max(0);
        self.last = Some((reference, micros));
        micros
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{RecvDelta, RunLengthChunk, StatusVectorChunk};

    use super::*;

    fn report(base: u16, reference: u32, arrived: &[Option<i64>]) -> TransportLayerCc {
        let symbol = |a: &Option<i64>| match a {
            Some(_) => SymbolTypeTcc::PacketReceivedLargeDelta,
            None => SymbolTypeTcc::PacketNotReceived,
        };
        TransportLayerCc {
            base_sequence_number: base,
            packet_status_count: arrived.len() as u16,
            reference_time: reference,
            packet_chunks: vec![PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                symbol_list: arrived.iter().map(symbol).collect(),
                ..Default::default()
            })],
            recv_deltas: arrived
                .iter()
                .flatten()
                .map(|delta| RecvDelta { delta: *delta, ..Default::default() })
                .collect(),
            ..Default::default()
        }
    }

    fn history(packets: usize) -> SendHistory {
        let mut history = SendHistory::default();
        let now = Instant::now();
        for _ in 0..packets {
            history.send(now, 1_000, None);
        }
        history
    }

    #[test]
    fn arrivals_add_up_from_the_reference_time_and_losses_have_none() {
        let mut history = history(4);
        let results = history.on_feedback(&report(0, 10, &[Some(250), None, Some(64_000), Some(-500)]));
        let times: Vec<_> = results.iter().map(|r| r.arrived_at.map(|t| t.as_micros() as i64)).collect();
        let origin = ReferenceTime::ORIGIN_MICROS;
        assert_eq!(times, [Some(origin + 250), None, Some(origin + 64_250), Some(origin + 63_750)]);
    }

    #[test]
    fn numbers_and_reference_time_wrap() {
        let mut history = history(70_000);
        let before = history.on_feedback(&report(65_535, 0xff_ffff, &[Some(0)]));
        let after = history.on_feedback(&report(0, 0, &[Some(0)]));
        assert_eq!((before[0].sent.sequence, after[0].sent.sequence), (65_535, 65_536));
        assert_eq!(after[0].arrived_at.unwrap() - before[0].arrived_at.unwrap(), Duration::from_millis(64));
    }

    #[test]
    fn a_lost_packet_may_still_arrive_and_an_arrival_counts_once() {
        let mut history = history(3);
        assert_eq!(history.on_feedback(&report(0, 0, &[None, Some(0)])).len(), 2);
        let late = history.on_feedback(&report(0, 1, &[Some(0), Some(0)]));
        assert_eq!(late.len(), 1);
        assert_eq!(late[0].sent.sequence, 0);
    }

    #[test]
    fn reports_of_packets_never_sent_say_nothing() {
        let mut history = history(3);
        assert!(history.on_feedback(&report(40_000, 0, &[Some(0); 5])).is_empty());
        assert_eq!(history.on_feedback(&report(1, 0, &[Some(0); 5])).len(), 2);
        assert!(SendHistory::default().on_feedback(&report(0, 0, &[Some(0)])).is_empty());
        let endless = TransportLayerCc {
            packet_status_count: u16::MAX,
            packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                packet_status_symbol: SymbolTypeTcc::PacketReceivedSmallDelta,
                run_length: 8_191,
                ..Default::default()
            })],
            ..Default::default()
        };
        assert!(history.on_feedback(&endless).is_empty());
    }
}
