//! A path that breaks and comes back.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_webrtc::{DataChannelMessage, Route, TransportEvent, TransportEvents};
use tokio::time::{Instant, sleep};

use crate::{
    shared_routes::{ask, echo},
    world::{World, level, listen, tone},
};

/// The next event of a kind that is not about media.
async fn next(events: &mut TransportEvents) -> TransportEvent {
    loop {
        match events.next().await.expect("the transport runs") {
            TransportEvent::TrackMuted { .. } | TransportEvent::TrackUnmuted { .. } => {}
            event => return event,
        }
    }
}

#[test]
fn an_outage_is_told_when_it_begins_and_when_it_is_over_and_the_call_goes_on() {
    run_virtual(411, |network| async move {
        let world = World::clean(network);
        let (alice, bot) = (world.join("alice").await, world.join("bot").await);
        let _echo = bot.attach(echo(), Route::from_all().with_messages()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        let sender = alice.clone();
        let sounding = tokio::spawn(async move {
            for n in 0.. {
                sender.send_to_peer("bot", &tone(48_000, n * 960, 960, &[0.3])).await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        });
        let loudness = async || level(&listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await);
        sleep(Duration::from_secs(2)).await;
        loudness().await;
        assert!(loudness().await > 0.1);

        let mut events = [alice.events(), bot.events()];
        let begin = Instant::now();
        world.host("bot").schedule_outage(Duration::ZERO, Duration::from_secs(12));
        for (events, other) in events.iter_mut().zip(["bot", "alice"]) {
            let event = next(events).await;
            assert!(matches!(&event, TransportEvent::PeerReconnecting { peer } if *peer == other), "{event:?}");
        }
        println!("reconnecting after {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
        for transport in [&alice, &bot] {
            assert!(transport.list_peers().await.unwrap()[0].reconnecting);
        }
        for (events, other) in events.iter_mut().zip(["bot", "alice"]) {
            let event = next(events).await;
            assert!(matches!(&event, TransportEvent::PeerReconnected { peer } if *peer == other), "{event:?}");
        }
        println!("reconnected after {:?}", begin.elapsed());
        let back = begin.elapsed();
        assert!((Duration::from_secs(12)..Duration::from_secs(20)).contains(&back), "{back:?}");
        for transport in [&alice, &bot] {
            assert!(!transport.list_peers().await.unwrap()[0].reconnecting);
        }
        let answer = ask(&alice, "still there").await;
        assert_eq!(answer, DataChannelMessage::Text { payload: "still there".into() });
        listen(&alice, "bot", Instant::now() + Duration::from_secs(2)).await;
        assert!(loudness().await > 0.1, "it is heard as before");
        sounding.abort();
    });
}
