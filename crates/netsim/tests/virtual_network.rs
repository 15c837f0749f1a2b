//! Hosts in virtual time reach each other through their links, repeatably, and the clock jumps.
#![allow(clippy::unwrap_used)]

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use remotemedia_mesh::{DatagramSocket, Network};
use remotemedia_netsim::{
    link::{LinkConfig, Loss, Order},
    nat::NatConfig,
    virt::{INBOX_BYTES, NetworkStats, SEED_VARIABLE, VirtualNetwork, VirtualSocket, run_virtual},
};
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_datagram_takes_the_delay_of_both_links() {
    run_virtual(1, |net| async move {
        let a = net.add_host(LinkConfig::with_delay(MS * 5), LinkConfig::default());
        let b = net.add_host(LinkConfig::default(), LinkConfig::with_delay(MS * 7));
        let (from, to) = (a.socket(1_000).unwrap(), b.socket(2_000).unwrap());
        let started = Instant::now();
        from.send_to(b"hello", to.address()).unwrap();
        let (payload, sender) = to.recv_from().await;
        assert_eq!((&payload[..], sender, started.elapsed()), (&b"hello"[..], from.address(), MS * 12));
    });
}

#[test]
fn lateness_of_the_clock_does_not_add_up_along_a_path() {
    run_virtual(1, |net| async move {
        let half = LinkConfig::with_delay(Duration::from_micros(500));
        let a = net.add_host(half.clone(), half.clone());
        let b = net.add_host(half.clone(), half);
        let (from, to) = (a.socket(1_000).unwrap(), b.socket(2_000).unwrap());
        let started = Instant::now();
        from.send_to(b"x", to.address()).unwrap();
        to.recv_from().await;
        assert_eq!(started.elapsed(), MS);
    });
}

#[test]
fn a_seed_repeats_a_run_and_another_does_not() {
    fn ping_pong(seed: u64) -> NetworkStats {
        run_virtual(seed, |net| async move {
            let rough = LinkConfig {
                delay: MS * 10,
                jitter: MS * 6,
                order: Order::Free,
                loss: Loss::bursts(0.02, 0.3),
                duplicate: 0.02,
                ..LinkConfig::default()
            };
            let hosts: Vec<_> = (0..6).map(|_| net.add_host(rough.clone(), rough.clone())).collect();
            let sockets: Vec<_> = hosts.iter().map(|h| Arc::new(h.socket(5_000).unwrap())).collect();
            for socket in &sockets {
                let socket = socket.clone();
                tokio::spawn(async move {
                    loop {
                        let (payload, from) = socket.recv_from().await;
                        if payload[0] > 0 {
                            socket.send_to(&[payload[0] - 1], from).unwrap();
                        }
                    }
                });
            }
            for round in 0..50 {
                for (n, socket) in sockets.iter().enumerate() {
                    socket.send_to(&[20], sockets[(n + 1 + round % 5) % 6].address()).unwrap();
                }
                sleep(MS * 20).await;
            }
            sleep(Duration::from_secs(2)).await;
            net.stats()
        })
    }
    let first = ping_pong(1);
    assert!(first.delivered > 1_000, "{first:?}");
    assert_eq!(ping_pong(1), first);
    if std::env::var_os(SEED_VARIABLE).is_none() {
        assert_ne!(ping_pong(2).digest, first.digest);
    }
}

#[test]
fn an_hour_of_traffic_passes_quickly() {
    let started = std::time::Instant::now();
    let delivered = run_virtual(1, |net| async move {
        let (a, b) = two_hosts(&net);
        for _ in 0..3_600 * 5 {
            a.send_to(&[0; 100], b.address()).unwrap();
            sleep(MS * 200).await;
        }
        net.stats().delivered
    });
    assert_eq!(delivered, 18_000);
    assert!(started.elapsed() < Duration::from_secs(60), "took {:?}", started.elapsed());
}

#[test]
fn a_bound_socket_is_taken_over_by_the_host_of_its_address() {
    run_virtual(1, |net| async move {
        let (a, b) = (net.add_host(LinkConfig::with_delay(MS), LinkConfig::default()), two_hosts(&net).1);
        let real = UdpSocket::bind((a.address(), 0)).unwrap();
        let own = real.local_addr().unwrap();
        let wrapped = net.wrap(real).unwrap();
        assert_eq!(wrapped.local_addr().unwrap(), own);
        assert_eq!(a.socket(own.port()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        std::future::poll_fn(|cx| wrapped.poll_send(cx, b"over", b.address())).await.unwrap();
        assert_eq!(b.recv_from().await.1, own);
        b.send_to(b"and out", own).unwrap();
        let mut buffer = [0; 4];
        let got = std::future::poll_fn(|cx| wrapped.poll_recv(cx, &mut buffer)).await.unwrap();
        assert_eq!((got, &buffer), ((4, b.address()), b"and "), "a short buffer cuts off, as with UDP");
        let foreign = net.wrap(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap_err();
        assert_eq!(foreign.kind(), std::io::ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_closed_socket_receives_no_more_and_frees_its_port() {
    run_virtual(1, |net| async move {
        let host = net.add_host(LinkConfig::default(), LinkConfig::default());
        let (a, _) = two_hosts(&net);
        let socket = host.socket(7_000).unwrap();
        assert_eq!(host.socket(7_000).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        let address = socket.address();
        assert_eq!(host.open_sockets(), 1);
        drop(socket);
        assert_eq!(host.open_sockets(), 0);
        a.send_to(b"?", address).unwrap();
        a.send_to(b"?", "127.77.99.1:1".parse().unwrap()).unwrap();
        sleep(MS * 100).await;
        assert_eq!((net.stats().no_socket, net.stats().unroutable), (1, 1));
        host.socket(7_000).unwrap();
    });
}

#[test]
fn an_inbox_that_nobody_reads_is_bounded_and_counts_its_drops() {
    run_virtual(1, |net| async move {
        let (a, b) = two_hosts(&net);
        let fits = INBOX_BYTES / (1_000 + 64);
        for _ in 0..fits + 10 {
            a.send_to(&[0; 1_000], b.address()).unwrap();
        }
        sleep(MS * 100).await;
        assert_eq!((net.stats().delivered, net.stats().inbox_full), (fits as u64, 10));
    });
}

#[test]
fn a_cut_host_is_silent_and_an_outage_passes() {
    run_virtual(1, |net| async move {
        let (a, b) = two_hosts(&net);
        let host = net.add_host(LinkConfig::default(), LinkConfig::default());
        let c = host.socket(5_000).unwrap();
        host.schedule_outage(MS * 10, MS * 50);
        sleep(MS * 30).await;
        c.send_to(b"lost", a.address()).unwrap();
        a.send_to(b"lost", c.address()).unwrap();
        assert!(timeout(MS * 20, c.recv_from()).await.is_err());
        sleep(MS * 20).await;
        c.send_to(b"after", a.address()).unwrap();
        assert_eq!(&a.recv_from().await.0[..], b"after");
        host.cut();
        a.send_to(b"?", c.address()).unwrap();
        assert!(timeout(Duration::from_secs(5), c.recv_from()).await.is_err());
        assert_eq!((host.up_stats().outage, host.down_stats().outage), (1, 2));
        a.send_to(b"others go on", b.address()).unwrap();
        b.recv_from().await;
    });
}

#[test]
fn hosts_behind_translators_are_reached_as_their_kind_allows() {
    run_virtual(1, |net| async move {
        let outside = two_hosts(&net).0;
        let gateway = net.add_gateway(NatConfig::port_restricted_cone);
        let inner: Vec<_> = (0..2).map(|_| gateway.add_host(LinkConfig::default(), LinkConfig::default())).collect();
        let [first, second] = [0, 1].map(|n| inner[n].socket(6_000).unwrap());
        // From outside: not by the inner address, not by the outer one before it has sent.
        outside.send_to(b"1", first.address()).unwrap();
        outside.send_to(b"2", (gateway.public(), 6_000).into()).unwrap();
        assert!(timeout(MS * 100, first.recv_from()).await.is_err());
        assert_eq!((net.stats().unroutable, net.stats().refused_by_nat), (1, 1));
        first.send_to(b"3", outside.address()).unwrap();
        let (_, outer) = outside.recv_from().await;
        assert_eq!(outer, SocketAddr::from((gateway.public(), 6_000)));
        outside.send_to(b"4", outer).unwrap();
        assert_eq!(first.recv_from().await.1, outside.address());
        // Neighbours need no translation.
        second.send_to(b"5", first.address()).unwrap();
        assert_eq!(first.recv_from().await.1, second.address());
        gateway.restart();
        outside.send_to(b"6", outer).unwrap();
        assert!(timeout(MS * 100, first.recv_from()).await.is_err());
    });
}

#[test]
fn reading_is_pending_until_something_comes() {
    run_virtual(1, |net| async move {
        let (_, b) = two_hosts(&net);
        let pending = std::future::poll_fn(|cx| Poll::Ready(b.poll_recv(cx, &mut [0; 10]).is_pending())).await;
        assert!(pending);
    });
}

#[test]
#[should_panic(expected = "the test's own words")]
fn a_failure_inside_comes_out_as_it_is() {
    run_virtual(1, |_| async { panic!("the test's own words") });
}

fn two_hosts(net: &VirtualNetwork) -> (VirtualSocket, VirtualSocket) {
    let link = || LinkConfig::with_delay(MS * 5);
    let (a, b) = (net.add_host(link(), link()), net.add_host(link(), link()));
    (a.socket(5_000).unwrap(), b.socket(5_000).unwrap())
}
