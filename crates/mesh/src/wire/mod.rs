//! What lies between a peer connection and the wire.
//!
//! [`MeshRuntime`] belongs to a mesh and gives every peer connection a [`ConnectionRuntime`], to be passed to
//! `PeerConnectionBuilder::with_runtime`. It runs on tokio's timers and tasks, so that a paused clock drives everything;
//! its sockets are the system's with large buffers, or those of a [`Network`](crate::Network). It knows when the last
//! datagram arrived, counts and ends the connection's tasks, and keeps a DTLS handshake going over a lossy path.

mod dtls;
mod runtime;
mod socket;

#[cfg(test)]
mod dtls_test;
#[cfg(test)]
mod test_net;

pub(crate) use runtime::{ConnectionRuntime, MeshRuntime, SocketBuffers};
