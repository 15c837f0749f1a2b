//! The jitter buffer's settings decide how long audio waits.

use std::time::Duration;

use remotemedia_netsim::{
    link::{LinkConfig, Loss, Order},
    virt::run_virtual,
};
use remotemedia_webrtc::{ConfigOptions, JitterMode, WebRtcError, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, interval};

use crate::world::{ONE_WAY, World, level, tone};

/// Starts a beep of 100 ms every second, on the second; answers when it began.
async fn beep(source: WebRtcTransport, seconds: usize) {
    let mut clock = interval(Duration::from_millis(20));
    for chunk in 0..seconds * 50 {
        clock.tick().await;
        let loudness = if chunk % 50 < 5 { 0.4 } else { 0.0 };
        source.send_to_peer("bob", &tone(48_000, chunk * 960, 960, &[loudness])).await.unwrap();
    }
}

/// How late the first loud frame of each second comes, over `seconds`.
async fn delays(listener: &WebRtcTransport, begin: Instant, seconds: u64) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut was_loud = false;
    while begin.elapsed() < Duration::from_secs(seconds) {
        let frame = listener.recv_audio("alice").await.unwrap().unwrap();
        let loud = level(frame.samples()) > 0.05;
        if loud && !was_loud {
            delays.push(Duration::from_millis(begin.elapsed().as_millis() as u64 % 1_000));
        }
        was_loud = loud;
    }
    delays
}

/// The delay of the first and the last beep of a call, from pushed to heard.
fn call(change: impl FnOnce(&mut WebRtcTransportConfig) + Send + 'static) -> (Duration, Duration) {
    run_virtual(111, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let bob = world.join_with("bob", change).await;
        alice.connect_peer("bob").await.unwrap();
        tokio::spawn(beep(alice.clone(), 30));
        let delays = delays(&bob, Instant::now(), 30).await;
        println!("{:?} ... {:?}", &delays[..2], &delays[delays.len() - 2..]);
        (delays[0], delays[delays.len() - 1])
    })
}

#[test]
fn a_fixed_buffer_holds_audio_for_its_size() {
    let (_, short) = call(|c| (c.jitter_mode, c.jitter_buffer_size_ms) = (JitterMode::Fixed, 40));
    let (_, long) = call(|c| (c.jitter_mode, c.jitter_buffer_size_ms) = (JitterMode::Fixed, 240));
    let longer = long.saturating_sub(short);
    assert!(longer.abs_diff(Duration::from_millis(200)) <= Duration::from_millis(30), "{short:?} and {long:?}");
}

#[test]
fn an_adaptive_buffer_begins_at_its_size_and_goes_down_on_a_calm_network_no_lower_than_its_floor() {
    let (first, last) = call(|c| c.jitter_buffer_size_ms = 300);
    assert!(first >= Duration::from_millis(200), "{first:?}");
    assert!(last <= Duration::from_millis(100), "{last:?}");
    let (_, last) = call(|c| (c.jitter_buffer_size_ms, c.jitter_buffer_min_ms) = (300, 200));
    assert!(last >= Duration::from_millis(180), "{last:?}");
    let (first, _) = call(|c| (c.jitter_buffer_size_ms, c.jitter_buffer_max_ms) = (40, 60));
    assert!(first <= Duration::from_millis(110), "{first:?}");
}

#[test]
fn the_size_of_a_fixed_buffer_can_be_changed_during_a_call() {
    run_virtual(112, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let fixed = |c: &mut WebRtcTransportConfig| (c.jitter_mode, c.jitter_buffer_size_ms) = (JitterMode::Fixed, 40);
        let bob = world.join_with("bob", fixed).await;
        alice.connect_peer("bob").await.unwrap();
        tokio::spawn(beep(alice.clone(), 40));
        let begin = Instant::now();
        let before = delays(&bob, begin, 10).await;
        let bad = ConfigOptions { jitter_buffer_size_ms: Some(1_001), ..Default::default() };
        let refused = bob.configure(bad).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::InvalidConfig { field: "jitter_buffer_size_ms", .. }), "{refused:?}");
        let unchanged = delays(&bob, begin, 15).await;
        bob.configure(ConfigOptions { jitter_buffer_size_ms: Some(240), ..Default::default() }).await.unwrap();
        let after = delays(&bob, begin, 35).await;
        let last = |delays: &[Duration]| delays[delays.len() - 1];
        println!("{:?}, {:?}, {:?}", last(&before), last(&unchanged), last(&after));
        assert!(last(&unchanged).abs_diff(last(&before)) <= Duration::from_millis(25));
        let longer = last(&after).saturating_sub(last(&before));
        assert!(longer.abs_diff(Duration::from_millis(200)) <= Duration::from_millis(40), "{longer:?}");
    });
}

/// How a minute of beeps is played out.
struct Played {
    /// From pushed to heard, for a beep none of which came too late.
    delay: Duration,
    /// How long packets waited in the buffer on average, in ms. Those that the path was slow with wait less.
    waited: f64,
    /// What share of it was made up.
    made_up: f64,
}

/// Plays a minute of beeps on a path like that.
fn play(path: LinkConfig, change: impl FnOnce(&mut WebRtcTransportConfig) + Send + 'static) -> Played {
    run_virtual(113, |network| async move {
        let world = World::new(network, path);
        let alice = world.join("alice").await;
        let bob = world.join_with("bob", change).await;
        alice.connect_peer("bob").await.unwrap();
        tokio::spawn(beep(alice.clone(), 60));
        let delays = delays(&bob, Instant::now(), 60).await;
        // The buffer is where it wants to be after ten. A beep whose first packet comes too late is heard later.
        let mut settled = delays[10..].to_vec();
        settled.sort_unstable();
        let metrics = bob.list_peers().await.unwrap()[0].metrics.clone();
        let (waited, made_up) = (metrics.jitter_buffer_delay_ms, metrics.concealed_rate);
        let delay = settled[settled.len() / 10];
        println!("{delay:?} from pushed to heard, {waited:.0} ms of them in the buffer, {made_up:.3} made up");
        Played { delay, waited, made_up }
    })
}

#[test]
fn on_a_restless_path_the_delay_goes_up_to_its_ceiling_and_no_further() {
    const JITTER: Duration = Duration::from_millis(250);
    // Each packet is late by itself. Where one holds up those behind it, most come late together, and wait for less.
    let restless = LinkConfig { jitter: JITTER, order: Order::Free, ..LinkConfig::with_delay(ONE_WAY) };
    let ceiling = |ms| play(restless.clone(), move |c| (c.jitter_buffer_size_ms, c.jitter_buffer_max_ms) = (40, ms));
    let [low, middle, high] = [60, 120, 500].map(ceiling);
    // What is beside the buffer: the way, a packet that is filled, and up to two frames until the reader comes.
    let beside = Duration::from_millis(70);
    for (played, most) in [(&low, 60u32), (&middle, 120), (&high, 500)] {
        assert!(played.waited <= f64::from(most), "{} ms of {most} at most", played.waited);
        // It does not go higher than the path needs either.
        let most = JITTER.min(Duration::from_millis(most.into()));
        assert!((most..=most + beside).contains(&played.delay), "{:?} with a ceiling of {most:?}", played.delay);
    }
    assert!(high.made_up <= 0.01, "{} of it is missing though it could have been waited for", high.made_up);
    assert!(middle.made_up >= 0.15, "{}: a half comes too late for 120 ms", middle.made_up);
    assert!(low.made_up >= middle.made_up + 0.05, "{} and {}", low.made_up, middle.made_up);
}

#[test]
fn a_larger_buffer_size_is_held_while_the_path_loses_packets() {
    let lossy = || LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(0.02));
    let standard = play(lossy(), |_| {}).waited;
    let large = play(lossy(), |c| c.jitter_buffer_size_ms = 150).waited;
    let calm = play(LinkConfig::with_delay(ONE_WAY), |c| c.jitter_buffer_size_ms = 150).waited;
    assert!(large >= 140.0, "{large} ms of 150 on a path with losses");
    assert!(large >= standard + 50.0, "{large} ms and {standard} ms");
    assert!(calm <= large - 50.0, "{calm} ms without losses, {large} ms with");
}
