//! Video that counts its packets.

use std::time::Duration;

use bytes::Bytes;
use remotemedia_media::{Codec, MediaKind, RtpTimestamp};
use remotemedia_mesh::{IncomingTrack, Mesh, TrackItem};
use remotemedia_rtp::OutgoingPacket;

use crate::hub::{id, soon};

/// Sends a video frame of one packet every 10 ms, for ever.
pub(crate) async fn send_video(mesh: &Mesh, to: &str) {
    for number in 0u32.. {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let packet = OutgoingPacket { timestamp: RtpTimestamp(number * 900), marker: true, payload };
        // Fails while the peer is not connected, which some tests bring about.
        let _ = mesh.send_media(&id(to), Codec::Vp8, &[packet], true);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The numbers of `count` packets that [`send_video`] sent, from a fresh track.
pub(crate) async fn video_numbers(track: &mut IncomingTrack, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match soon("a packet", track.recv()).await.expect("the track lives") {
            TrackItem::Packet { packet, .. } => {
                numbers.push(u32::from_be_bytes(packet.payload[..].try_into().unwrap()));
            }
            _ => continue,
        }
    }
    numbers
}

/// The next video track.
pub(crate) async fn video_track(mesh: &Mesh) -> IncomingTrack {
    soon("a video track", async {
        loop {
            let track = mesh.next_track().await.unwrap();
            if track.kind() == MediaKind::Video {
                return track;
            }
        }
    })
    .await
}
