use std::time::Duration;

use tokio::time::Instant;

use super::{
    MeshRuntime,
    test_net::{LossyNetwork, Peer, in_virtual_time, negotiate},
};

async fn connect_time(seed: u64, loss: f64) -> Option<Duration> {
    let network = LossyNetwork::new(seed, Duration::from_millis(10), loss);
    let mesh = MeshRuntime::new(Some(network));
    let (mut a, mut b) = (Peer::new(&mesh, |p| p).await, Peer::new(&mesh, |p| p).await);
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
        let mut worst = Duration::ZERO;
        for seed in 0..20 {
            worst = worst.max(connect_time(seed, 0.0).await.expect("connects"));
        }
        worst
    });
    println!("connect without loss: worst {worst:?}");
    assert!(worst <= Duration::from_millis(180), "{worst:?}");
}
