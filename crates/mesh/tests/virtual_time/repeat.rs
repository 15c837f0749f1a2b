//! A seed repeats a whole call, datagram by datagram.

use crate::world::{SECOND, World, begun, report, sees, soon, talk};
use remotemedia_mesh::Message;
use remotemedia_netsim::virt::{NetworkStats, SEED_VARIABLE, run_virtual};
use tokio::time::sleep;

/// Three peers on a bad path, one outage, sound and messages.
fn call(seed: u64) -> NetworkStats {
    run_virtual(seed, |net| async move {
        let world = World::new(net.clone(), 0.05);
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        for (from, to) in [(&alice, &bob), (&bob, &carol), (&carol, &alice)] {
            soon("connect", from.mesh.connect(&to.id)).await.unwrap();
            sees(to, from).await;
        }
        for (from, to) in [(&alice, &bob), (&bob, &carol), (&carol, &alice)] {
            tokio::spawn(talk(from.mesh.clone(), vec![to.id.clone()], SECOND * 20));
        }
        bob.host.schedule_outage(SECOND * 3, SECOND * 8);
        sleep(SECOND * 20).await;
        alice.mesh.send_message(&bob.id, Message::Text("after the outage".into())).await.unwrap();
        soon("the message", bob.mesh.recv_message()).await.unwrap();
        net.stats()
    })
}

/// Runs in a process of its own: see below.
#[test]
#[ignore = "the other test starts it"]
fn one_call() {
    let _running = begun();
    let stats = call(1);
    assert!(stats.delivered > 2_500, "{stats:?}");
    println!("call: {stats:?}");
}

/// What `one_call` prints in a process of its own, for a generator inside `futures` is seeded with the number of threads
/// before it.
fn call_elsewhere(seed: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(program);
    child.args(["--exact", "repeat::one_call", "--ignored", "--nocapture"]).env(SEED_VARIABLE, seed);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let call = text.lines().find(|line| line.contains("call: "));
    call.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

#[test]
fn the_same_seed_gives_the_same_call_and_another_does_not() {
    let _running = begun();
    let first = call_elsewhere("1@3");
    for _ in 0..2 {
        assert_eq!(call_elsewhere("1@3"), first);
    }
    assert_ne!(call_elsewhere("2@3"), first);
    report("three times the same call, and another");
}
