//! What a connection measured, under the names that the report of `call` and the answers of `serve` give it.
//!
//! Times are in milliseconds, rates in kbit/s, loss is a fraction. What is not known is null.

use remotemedia_webrtc::{PeerInfo, ReceiveMetrics};
use serde_json::{Value, json};

/// Audio and video together.
pub(crate) fn of_connection(info: Option<&PeerInfo>) -> Value {
    let m = info.map(|info| &info.metrics);
    json!({
        "packets": m.map(|m| m.packets_received),
        "packets_sent": m.map(|m| m.packets_sent),
        "bytes": m.map(|m| m.bytes_received),
        "bytes_sent": m.map(|m| m.bytes_sent),
        "loss": m.map(|m| m.receive_loss_rate),
        "rtt_ms": m.map(|m| m.latency_ms * 2.0),
        "estimate_kbps": m.and_then(|m| m.available_bitrate_kbps),
    })
}

/// The peer's audio.
pub(crate) fn of_audio(info: Option<&PeerInfo>) -> Value {
    let m = info.map(|info| &info.metrics);
    let playout = json!({
        "concealed": m.map(|m| m.concealed_rate),
        "stretched": m.map(|m| m.stretched_rate),
        "playout_delay_ms": m.map(|m| m.jitter_buffer_delay_ms),
    });
    join(received(m.map(|m| &m.audio_received)), playout)
}

/// The peer's video.
pub(crate) fn of_video(info: Option<&PeerInfo>) -> Value {
    let codec = info.and_then(|info| info.video_codec).map(|codec| codec.to_string());
    let metrics = info.map(|info| &info.metrics);
    let more = json!({
        "codec": codec,
        "frames_discarded": metrics.map(|m| m.video_frames_discarded),
        "keyframes_requested": metrics.map(|m| m.keyframes_requested),
        "keyframes_requested_by_peer": metrics.map(|m| m.keyframes_requested_by_peer),
    });
    join(received(metrics.map(|m| &m.video_received)), more)
}

/// One object of both.
pub(crate) fn join(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn received(m: Option<&ReceiveMetrics>) -> Value {
    json!({
        "packets": m.map(|m| m.packets),
        "lost": m.map(|m| m.lost),
        "missing": m.map(|m| m.missing),
        "jitter_ms": m.map(|m| (m.jitter_ms * 1_000.0).round() / 1_000.0),
    })
}
