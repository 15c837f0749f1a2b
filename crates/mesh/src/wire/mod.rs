//! What lies between a peer connection and the wire.
//!
//! [`MeshRuntime`] belongs to a mesh and gives every peer connection a [`ConnectionRuntime`], to be passed to
//! `PeerConnectionBuilder::with_runtime`. It runs on tokio's timers and tasks, so that a paused clock drives everything;
//! its sockets are the system's with large buffers, or those of a [`Network`](crate::Network). It knows when the last
//! datagram arrived, counts and ends the connection's tasks, and keeps a DTLS handshake going over a lossy path.
//!
//! [`build_registry`] makes a connection's interceptors, to be passed to `with_interceptor_registry` with the engine.
//! They share a [`WireShared`] with the mesh: statistics to look at, [`WireEvent`]s to wait for (keyframe requests,
//! sender reports, the target bitrate), and bounds to set. Nothing of RTCP needs to be read from tracks.
//!
//! ```ignore
//! let runtime = mesh_runtime.for_connection();
//! let shared = WireShared::new(&WireConfig { min, start, max });
//! let registry = build_registry(&mut engine, &shared)?; // after the engine's codecs
//! PeerConnectionBuilder::new().with_runtime(runtime.clone()).with_media_engine(engine).with_interceptor_registry(registry)
//! // one task: while let Some(event) = shared.next_event().await { … } — ends with the connection
//! ```

mod dtls;
mod events;
mod feedback;
mod ice_servers;
mod pacing;
mod registry;
mod repair;
mod runtime;
mod shared;
mod socket;
mod stats;
mod tap;

#[cfg(test)]
mod dtls_test;
#[cfg(test)]
mod media_test;
#[cfg(test)]
mod mesh_test;
#[cfg(test)]
mod test_net;

pub(crate) use events::WireEvent;
pub(crate) use registry::build_registry;
pub(crate) use runtime::{ConnectionRuntime, MeshRuntime};
pub(crate) use shared::{WireConfig, WireShared};
