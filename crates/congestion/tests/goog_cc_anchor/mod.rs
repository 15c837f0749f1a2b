//! `goog_cc`, a port of the browsers' controller, as a yardstick.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use goog_cc::{
    GoogCcConfig, GoogCcNetworkController,
    network_control::{NetworkControllerConfig, NetworkControllerInterface},
    transport::{
        NetworkAvailability, NetworkControlUpdate, PacedPacketInfo, PacketResult as Result, ProcessInterval,
        StreamsConfig, TargetRateConstraints, TransportPacketsFeedback,
    },
    units::{DataRate, DataSize, TimeDelta, Timestamp},
};
use remotemedia_congestion::{Estimator, PacketResult, ProbeCluster, ProbeId, SentPacket};
use remotemedia_media::Bitrate;

use crate::support::{Path, Second, run};

/// The controller on its own thread, since it cannot leave it.
pub(crate) struct GoogCcAnchor {
    calls: Sender<Call>,
    answers: Receiver<Answer>,
    target: Bitrate,
    pacing: Bitrate,
    probes: VecDeque<ProbeCluster>,
    known: Vec<ProbeCluster>,
    epoch: Instant,
}

enum Call {
    Sent(goog_cc::transport::SentPacket),
    Feedback(TransportPacketsFeedback),
    Tick(Timestamp),
}

struct Answer {
    target: Option<Bitrate>,
    pacing: Option<Bitrate>,
    probes: Vec<ProbeCluster>,
}

const ORIGIN: Timestamp = Timestamp::from_seconds(3_600);

fn rate(rate: Bitrate) -> DataRate {
    DataRate::from_bits_per_sec(rate.as_bps() as i64)
}

impl GoogCcAnchor {
    pub(crate) fn new(epoch: Instant, min: Bitrate, start: Bitrate, max: Bitrate) -> Self {
        let (calls, inbox) = channel();
        let (outbox, answers) = channel();
        std::thread::spawn(move || {
            let mut controller = GoogCcNetworkController::new(
                NetworkControllerConfig {
                    constraints: TargetRateConstraints {
                        at_time: ORIGIN,
                        min_data_rate: Some(rate(min)),
                        max_data_rate: Some(rate(max)),
                        starting_rate: Some(rate(start)),
                    },
                    stream_based_config: StreamsConfig { requests_alr_probing: Some(true), ..Default::default() },
                    ..Default::default()
                },
                GoogCcConfig { feedback_only: true },
            );
            controller.on_network_availability(NetworkAvailability { at_time: ORIGIN, network_available: true });
            while let Ok(call) = inbox.recv() {
                let update = match call {
                    Call::Sent(packet) => controller.on_sent_packet(packet),
                    Call::Feedback(feedback) => controller.on_transport_packets_feedback(feedback),
                    Call::Tick(at_time) => {
                        controller.on_process_interval(ProcessInterval { at_time, pacer_queue: None })
                    }
                };
                if outbox.send(answer(update)).is_err() {
                    return;
                }
            }
        });
        Self {
            calls,
            answers,
            target: start,
            pacing: start.scale(2.5),
            probes: VecDeque::new(),
            known: Vec::new(),
            epoch,
        }
    }

    pub(crate) fn run(&mut self, path: &Path, epoch: Instant, length: Duration) -> Vec<Second> {
        run(path, self, epoch, length)
    }

    fn call(&mut self, call: Call) {
        self.calls.send(call).expect("the controller lives");
        let answer = self.answers.recv().expect("the controller answers");
        self.target = answer.target.unwrap_or(self.target);
        self.pacing = answer.pacing.unwrap_or(self.pacing);
        self.probes.extend(answer.probes);
    }

    fn at(&self, at: Instant) -> Timestamp {
        ORIGIN + TimeDelta::from_micros((at - self.epoch).as_micros() as i64)
    }

    fn sent(&self, packet: &SentPacket) -> goog_cc::transport::SentPacket {
        let probe = packet.probe.and_then(|id| self.known.iter().find(|p| p.id == id));
        goog_cc::transport::SentPacket {
            send_time: self.at(packet.sent_at),
            size: DataSize::from_bytes(packet.size as i64),
            sequence_number: packet.sequence as i64,
            pacing_info: probe.map_or_else(PacedPacketInfo::default, |p| {
                PacedPacketInfo::new(p.id.0 as i32, i64::from(p.min_packets), p.min_bytes as i64)
            }),
            ..Default::default()
        }
    }
}

fn answer(update: NetworkControlUpdate) -> Answer {
    let bitrate = |rate: DataRate| Bitrate::from_bps(rate.bps() as u64);
    Answer {
        target: update.target_rate.map(|t| bitrate(t.target_rate)),
        pacing: update.pacer_config.map(|p| bitrate(p.data_rate())),
        probes: update
            .probe_cluster_configs
            .iter()
            .map(|p| {
                let rate = bitrate(p.target_data_rate);
                ProbeCluster {
                    id: ProbeId(p.id as u32),
                    rate,
                    min_packets: p.target_probe_count as u32,
                    min_bytes: rate.bytes_in(Duration::from_micros(p.target_duration.us() as u64)),
                }
            })
            .collect(),
    }
}

impl Estimator for GoogCcAnchor {
    fn on_sent(&mut self, _: Instant, packet: SentPacket) {
        let sent = self.sent(&packet);
        self.call(Call::Sent(sent));
    }

    fn on_feedback(&mut self, now: Instant, results: &[PacketResult]) {
        let packet_feedbacks = results
            .iter()
            .map(|r| Result {
                sent_packet: self.sent(&r.sent),
                receive_time: r
                    .arrived_at
                    .map_or(Timestamp::plus_infinity(), |t| ORIGIN + TimeDelta::from_micros(t.as_micros() as i64)),
                ..Default::default()
            })
            .collect();
        let feedback_time = self.at(now);
        self.call(Call::Feedback(TransportPacketsFeedback { feedback_time, packet_feedbacks, ..Default::default() }));
    }

    fn on_round_trip_time(&mut self, _: Instant, _: Duration) {}

    fn on_tick(&mut self, now: Instant) {
        let at = self.at(now);
        self.call(Call::Tick(at));
    }

    fn set_bounds(&mut self, _: Instant, _: Bitrate, _: Option<Bitrate>, _: Bitrate) {}

    fn target(&self) -> Bitrate {
        self.target
    }

    fn pacing_rate(&self) -> Bitrate {
        self.pacing
    }

    fn next_probe(&mut self) -> Option<ProbeCluster> {
        let probe = self.probes.pop_front()?;
        self.known.push(probe);
        Some(probe)
    }
}
