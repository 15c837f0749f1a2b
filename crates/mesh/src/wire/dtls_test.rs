use std::time::{Duration, Instant as StdInstant};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use rtc::peer_connection::transport::RTCDtlsRole;
use tokio::time::Instant;

use super::{
    MeshRuntime,
    dtls::{HandshakeGuard, Relevance, Verdict, relevance},
    test_net::{LossyNetwork, Peer, in_virtual_time, negotiate, settings},
};

/// With an even seed the offerer is the DTLS client, with an odd one the answerer.
async fn connect_time(seed: u64, loss: f64) -> Option<Duration> {
    let network = LossyNetwork::new(seed, Duration::from_millis(10), loss);
    let mesh = MeshRuntime::new(Some(network));
    let role = if seed.is_multiple_of(2) { RTCDtlsRole::Server } else { RTCDtlsRole::Client };
    let settings = || settings().with_answering_dtls_role(role).build();
    let mut a = Peer::new(&mesh, |p| p.with_setting_engine(settings())).await;
    let mut b = Peer::new(&mesh, |p| p.with_setting_engine(settings())).await;
    a.connection.create_data_channel("control", None).await.unwrap();
    let start = Instant::now();
    negotiate(&mut a, &mut b).await;
    let both = async {
        a.connected().await;
        b.connected().await;
    };
    let connected = tokio::time::timeout(Duration::from_secs(30), both).await.is_ok();
    let taken = start.elapsed();
    let _ = tokio::join!(a.connection.close(), b.connection.close());
    connected.then_some(taken)
}

#[test]
fn no_handshake_dies_on_a_path_that_loses_a_tenth() {
    let mut times: Vec<(Duration, u64)> = in_virtual_time(async {
        let mut times = Vec::new();
        for seed in 0..300 {
            let taken = connect_time(seed, 0.1).await;
            times.push((taken.unwrap_or_else(|| panic!("seed {seed} never connected")), seed));
        }
        times
    });
    times.sort_unstable();
    let [p50, p95, worst] = [150, 285, 299].map(|i| times[i]);
    println!("connect at 10 % loss: p50 {p50:?}, p95 {p95:?}, worst {worst:?} (time, seed)");
    assert!(p95.0 <= Duration::from_millis(1_500), "p95 {p95:?}");
    assert!(worst.0 <= Duration::from_secs(10), "worst {worst:?}");
}

#[test]
fn a_clean_path_connects_in_a_few_round_trips() {
    let worst = in_virtual_time(async {
        let mut worst = (Duration::ZERO, 0);
        for seed in 0..20 {
            let taken = connect_time(seed, 0.0).await;
            worst = worst.max((taken.unwrap_or_else(|| panic!("seed {seed} never connected")), seed));
        }
        worst
    });
    println!("connect without loss: worst {worst:?} (time, seed)");
    assert!(worst.0 <= Duration::from_millis(180), "worst {worst:?} (time, seed)");
}

/// A record of a handshake message that consists of its header.
fn handshake(epoch: u16, record: u64, message: u16) -> Vec<u8> {
    let mut bytes = vec![22, 254, 253];
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(&record.to_be_bytes()[2..]);
    bytes.extend([0, 12, 1, 0, 0, 0]);
    bytes.extend(message.to_be_bytes());
    bytes.extend([0; 6]);
    bytes
}

fn change_cipher_spec() -> Vec<u8> {
    vec![20, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1]
}

fn application_data() -> Vec<u8> {
    vec![23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1]
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_flight_is_repeated_in_doubling_waits_until_the_peer_advances() {
    let (mut guard, start) = (HandshakeGuard::default(), StdInstant::now());
    let first = handshake(0, 0, 0);
    guard.on_send(start, &first, ());
    let mut waits = Vec::new();
    let mut now = start;
    for _ in 0..6 {
        let due = guard.next_repeat().expect("waiting");
        waits.push((due - now).as_millis());
        now = due;
        assert_eq!(guard.due(now), [(first.clone(), ())]);
    }
    assert_eq!(waits, [50, 100, 200, 400, 800, 800]);
    assert_eq!(guard.on_receive(now, &handshake(0, 0, 0)), Verdict::Deliver);
    assert_eq!(guard.next_repeat(), None);
}

#[test]
fn an_answered_flight_is_kept_away_and_answered_again() {
    let (mut guard, start) = (HandshakeGuard::default(), StdInstant::now());
    let answer = handshake(0, 0, 0);
    assert_eq!(guard.on_receive(start, &handshake(0, 0, 0)), Verdict::Deliver);
    // Not answered yet: the library may not have been ready for it.
    assert_eq!(guard.on_receive(start, &handshake(0, 1, 0)), Verdict::Deliver);
    guard.on_send(start + MS, &answer, ());
    assert_eq!(guard.on_receive(start + 30 * MS, &handshake(0, 2, 0)), Verdict::Withhold);
    assert_eq!(guard.answer(start + 30 * MS), [(answer, ())]);
    // The second datagram of the same burst draws no second answer.
    assert_eq!(guard.answer(start + 31 * MS), []);
    assert_eq!(guard.on_receive(start + 40 * MS, &handshake(0, 3, 1)), Verdict::Deliver);
}

#[test]
fn the_librarys_own_repetition_takes_the_place_of_the_first() {
    let (mut guard, start) = (HandshakeGuard::default(), StdInstant::now());
    guard.on_send(start, &handshake(0, 0, 0), ());
    guard.on_send(start + 1_000 * MS, &handshake(0, 1, 0), ());
    let due = guard.next_repeat().expect("waiting");
    assert_eq!(guard.due(due), [(handshake(0, 1, 0), ())]);
}

#[test]
fn the_last_flight_is_repeated_on_request_only_and_until_data_follows() {
    let (mut guard, start) = (HandshakeGuard::default(), StdInstant::now());
    guard.on_receive(start, &handshake(0, 0, 0));
    guard.on_send(start, &handshake(0, 0, 0), ());
    let finished = [handshake(0, 1, 1), change_cipher_spec(), handshake(1, 0, 2)].concat();
    assert_eq!(guard.on_receive(start, &finished), Verdict::Deliver);
    let last = [change_cipher_spec(), handshake(1, 0, 1)].concat();
    guard.on_send(start, &last, ());
    assert_eq!(guard.next_repeat(), None);
    assert_eq!(guard.on_receive(start + 50 * MS, &finished), Verdict::Withhold);
    assert_eq!(guard.answer(start + 50 * MS), [(last, ())]);
    guard.on_receive(start + 90 * MS, &application_data());
    assert!(guard.is_done());
    assert_eq!(guard.on_receive(start + 100 * MS, &finished), Verdict::Deliver);
    assert_eq!(guard.answer(start + 100 * MS), []);
}

#[test]
fn a_client_is_done_once_the_server_has_finished() {
    let (mut guard, start) = (HandshakeGuard::default(), StdInstant::now());
    guard.on_send(start, &handshake(0, 0, 0), ());
    guard.on_receive(start, &handshake(0, 0, 0));
    guard.on_send(start, &[change_cipher_spec(), handshake(1, 0, 1)].concat(), ());
    assert!(guard.next_repeat().is_some() && !guard.is_done());
    // Data that overtakes the last flight shows nothing: the client still lacks it.
    guard.on_receive(start, &application_data());
    assert!(guard.next_repeat().is_some());
    guard.on_receive(start, &[change_cipher_spec(), handshake(1, 0, 1)].concat());
    assert!(guard.next_repeat().is_none() && guard.is_done());
}

#[test]
fn records_are_found_behind_a_relay_too() {
    let record = handshake(0, 0, 0);
    let channel = [&[0x40, 0, 0, record.len() as u8][..], &record].concat();
    let indication = |kind: u8| {
        let mut bytes = vec![0, kind, 0, 0];
        bytes.extend([7; 16]);
        bytes.extend([0, 0x12, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0x13, 0, record.len() as u8]);
        bytes.extend(&record);
        bytes
    };
    for datagram in [record.clone(), channel, indication(0x16), indication(0x17)] {
        assert_eq!(relevance(&datagram), Relevance::MayBeHandshake, "{datagram:?}");
    }
    let binding_request = [0, 1, 0, 0, 33, 18, 164, 66];
    let rtp = [128, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    for datagram in [&binding_request[..], &rtp, &indication(0x01), &[]] {
        assert_eq!(relevance(datagram), Relevance::None, "{datagram:?}");
    }
    assert_eq!(relevance(&application_data()), Relevance::AfterHandshake);
}

#[test]
fn junk_neither_panics_nor_grows_without_bound() {
    let (mut random, mut now) = (SmallRng::seed_from_u64(7), StdInstant::now());
    let mut guard = HandshakeGuard::default();
    for _ in 0..20_000 {
        now += MS;
        let mut junk: Vec<u8> = (0..random.random_range(0..80)).map(|_| random.random()).collect();
        if random.random_bool(0.7) && junk.len() > 13 {
            junk[0] = random.random_range(20..24);
            junk[4] = random.random_range(0..2);
            junk[11..13].copy_from_slice(&(random.random_range(0..80u16)).to_be_bytes());
        }
        if random.random_bool(0.3) {
            guard.on_send(now, &junk, ());
        } else {
            guard.on_receive(now, &junk);
        }
        let again = guard.due(now).len().max(guard.answer(now).len());
        assert!(again <= 8, "{again} datagrams in a flight");
    }
}
