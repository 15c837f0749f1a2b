//! Meshes on loopback sockets, with signaling in memory.
#![allow(clippy::unwrap_used)]

mod hub;
mod network;
mod video;

mod a_call;
mod codecs;
mod connecting;
mod ending;
mod figures;
mod foreign;
mod messages;
mod renegotiation;
mod signaling;

use std::sync::Arc;

use remotemedia_mesh::{Mesh, MeshConfig};

/// A started mesh.
async fn mesh_with(hub: &hub::Hub, config: MeshConfig) -> Mesh {
    let member: Arc<hub::Member> = hub.join(&config.local_id);
    let mesh = Mesh::new(config, member).expect("a valid configuration");
    mesh.start().await;
    mesh
}
