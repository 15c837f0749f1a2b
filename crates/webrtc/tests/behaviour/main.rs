//! What the transport promises, shown over real codecs and an emulated network in virtual time, one module per
//! behaviour. What needs the JSON-RPC signaling server itself is shown over sockets, in `server`, and what needs a STUN or
//! TURN server in `turn`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audio_formats;
mod audio_queue;
mod barge_in;
mod broadcast;
mod call;
mod codec_preference;
mod conference;
mod coturn;
mod failures;
mod frame_rate;
mod late_joiner;
mod lifecycle;
mod live_settings;
mod long_paths;
mod many_streams;
mod messages;
mod moves;
mod no_common_codec;
mod outage;
mod pausing;
mod picture_size;
mod playout;
mod precedence;
mod redundancy;
mod refusals;
mod refused_inputs;
mod replacement;
mod retrying;
mod routes;
mod server;
mod settings;
mod shared_routes;
mod slow_pipeline;
mod speaker;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod turn;
mod world;
