use std::{sync::Arc, time::Duration};

use rtc::{
    interceptor::{
        NackGeneratorBuilder, NackResponderBuilder, ReceiverReportBuilder, Registry, SenderReportBuilder, Slot,
        TwccReceiverBuilder,
    },
    peer_connection::configuration::{
        interceptor_registry::{configure_simulcast_extension_headers, configure_twcc_sender_only},
        media_engine::MediaEngine,
    },
    rtp_transceiver::rtp_sender::{RTCPFeedback, RtpCodecKind},
    shared::error::Result,
};

use super::{
    WireShared,
    pacing::{Pacing, REQUEST_INTERVAL},
    repair::Repair,
    tap::Tap,
};

const MAX_NACKS: u16 = 20;
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// More often would cost an audio call a third of its rate.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);

/// A connection's interceptors: retransmission of video, reports, transport-wide feedback both ways, pacing, and
/// [`Tap`]. Registers what they need of negotiation with `engine`, whose codecs must have been registered before.
///
/// # Errors
///
/// If the engine refuses a header extension.
pub(crate) fn build_registry(engine: &mut MediaEngine, shared: &Arc<WireShared>) -> Result<Registry> {
    for (typ, parameter) in [("nack", ""), ("nack", "pli"), ("ccm", "fir")] {
        let feedback = RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
        engine.register_feedback(feedback, RtpCodecKind::Video);
    }
    configure_simulcast_extension_headers(engine)?;
    // For what it registers with the engine: its interceptor would not number retransmissions, and is not taken.
    configure_twcc_sender_only(Registry::new(), engine)?;
    let nacks =
        NackGeneratorBuilder::new().with_interval(REQUEST_INTERVAL).with_max_nacks_per_packet(MAX_NACKS).build();
    Ok(Registry::new()
        .with(Slot::CongestionControl, Tap::new(shared.clone()))
        .with(Slot::Pacer, Pacing::new(shared.clone()))
        .with(Slot::NackResponder, NackResponderBuilder::new().build())
        .with(Slot::TwccReceiver, TwccReceiverBuilder::new().with_interval(FEEDBACK_INTERVAL).build())
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().with_interval(REPORT_INTERVAL).build())
        .with(Slot::SenderReport, SenderReportBuilder::new().with_interval(REPORT_INTERVAL).build())
        // Behind the reports, which count what the path itself delivered.
        .with(Slot::from(11_400), Repair::default())
        .with(Slot::from(11_500), nacks))
}
