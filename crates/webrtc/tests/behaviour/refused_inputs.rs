//! What peers send and the manifest of a pipeline does not declare is counted and told, and the call goes on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{RuntimeError, data::RuntimeData, manifest::Manifest};
use remotemedia_webrtc::{DataChannelMessage, Route, TransportEvent, TransportEvents, WebRtcTransport};
use tokio::time::{Instant, sleep, timeout_at};

use crate::world::{PICTURE, World, clip, picture, tone};

const SOON: Duration = Duration::from_secs(3);

/// Frames of a peer have 48,000 Hz.
const TELEPHONE: &str = "
pipeline:
  manifest: { inputs: [{ type: audio, sample_rate: 8000 }] }
  nodes: [{ id: e, type: Echo }]
";

/// Sends sound, pictures and, once a second, a text, until it is dropped.
async fn send_everything(peer: &WebRtcTransport) {
    let clip = clip();
    for n in 0usize.. {
        peer.send_to_peer("bot", &RuntimeData::from(picture(&clip, n as u16))).await.unwrap();
        for part in [2 * n, 2 * n + 1] {
            peer.send_to_peer("bot", &tone(48_000, part * 960, 960, &[0.2])).await.unwrap();
        }
        if n % 25 == 0 {
            let message = DataChannelMessage::Text { payload: "hello".into() };
            peer.send_data_channel_message("bot", &message).await.unwrap();
        }
        sleep(PICTURE).await;
    }
}

/// How often each kind of data is told as refused within `time`.
async fn told(events: &mut TransportEvents, of: Option<&str>, time: Duration) -> BTreeMap<&'static str, u32> {
    let mut told = BTreeMap::new();
    let end = Instant::now() + time;
    while let Ok(event) = timeout_at(end, events.next()).await {
        let Some(TransportEvent::PipelineFailed { peer, error, ended }) = event else { continue };
        let RuntimeError::UnexpectedInput { found, .. } = &*error else { panic!("{error}") };
        assert!(peer.as_deref() == of && !ended);
        *told.entry(found.kind.name()).or_default() += 1;
    }
    told
}

#[test]
fn what_a_pipeline_does_not_take_is_counted_and_told_once_for_each_kind_and_session() {
    run_virtual(461, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let manifest = Arc::new(Manifest::from_yaml(TELEPHONE).unwrap());
        let attachment = bot.attach(Arc::clone(&manifest), Route::from_all().with_messages()).await.unwrap();
        let mut events = bot.events();
        alice.connect_peer("bot").await.unwrap();
        let watching = async {
            let each_once = BTreeMap::from([("audio", 1), ("text", 1), ("video", 1)]);
            assert_eq!(told(&mut events, Some("alice"), SOON).await, each_once);
            let metrics = attachment.metrics("alice").unwrap();
            // Fifty frames of sound and 25 pictures a second.
            assert!(metrics.inputs_refused > 150 && metrics.nodes[0].calls == 0, "{metrics:?}");
            attachment.replace(manifest).await.unwrap();
            assert_eq!(told(&mut events, Some("alice"), SOON).await, each_once, "it is another session");
            assert!(attachment.metrics("alice").unwrap().inputs_refused > metrics.inputs_refused + 150);
        };
        tokio::select! {
            () = send_everything(&alice) => unreachable!("it goes on for ever"),
            () = watching => {}
        }
    });
}

#[test]
fn news_of_who_comes_and_goes_is_not_told_as_refused() {
    run_virtual(462, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let manifest = Manifest::from_yaml(TELEPHONE).unwrap();
        let _attachment = bot.attach(Arc::new(manifest), Route::from_all().shared()).await.unwrap();
        let mut events = bot.events();
        alice.connect_peer("bot").await.unwrap();
        assert!(!told(&mut events, None, SOON).await.contains_key("control"));
    });
}
