//! A build without the feature `nodes` tells which feature the native nodes need.
#![cfg(not(feature = "nodes"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{error::Error, sync::Arc};

use remotemedia_runtime_core::{manifest::Manifest, transport::TransportData};
use remotemedia_webrtc::{WebRtcTransport, WebRtcTransportConfig};

#[tokio::test]
async fn a_manifest_that_needs_a_native_node_is_told_which_feature_to_turn_on() {
    let config = WebRtcTransportConfig { enable_video: false, ..Default::default() };
    let transport = WebRtcTransport::new(config).unwrap();
    for name in ["AudioMixer", "BackgroundBlur", "Recorder", "Vad"] {
        let manifest = Manifest::from_yaml(&format!("pipeline: {{ nodes: [{{ id: it, type: {name} }}] }}")).unwrap();
        let error = transport.execute(Arc::new(manifest), TransportData::new("hello")).await.unwrap_err();
        let refusal = error.source().unwrap().to_string();
        assert!(refusal.contains("turn on the cargo feature \"nodes\""), "{refusal}");
    }
}
