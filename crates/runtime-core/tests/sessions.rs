//! Sessions are separate, and leave nothing behind.

mod common;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{drain, session_with};
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::{AsyncEmitter, AsyncNode, NodeRegistry, NodeResult, NodeType},
    runner::PipelineRunner,
    transport::{PipelineTransport, StreamSession, TransportData},
};

#[tokio::test]
async fn ids_are_unique_and_state_is_not_shared() {
    let mut registry = NodeRegistry::new();
    let mut count = 0;
    registry.register_fn("Count", move |_, out| {
        count += 1;
        out.emit(count.to_string());
        Ok(())
    });
    let runner = PipelineRunner::with_registry(registry);
    let manifest = Manifest::from_yaml("nodes: [{ id: a, type: Count }]").unwrap();
    let mut sessions: Vec<_> = (0..50).map(|_| runner.create_session(&manifest).unwrap()).collect();
    let ids: HashSet<String> = sessions.iter().map(|session| session.session_id().to_owned()).collect();
    assert_eq!(ids.len(), 50);
    for session in &mut sessions {
        for expected in ["1", "2"] {
            session.send_input(TransportData::new("x")).await.unwrap();
            assert_eq!(drain(session).await, [expected]);
        }
    }
}

#[tokio::test]
async fn transport_and_session_are_usable_as_trait_objects() {
    let transport: Arc<dyn PipelineTransport> = Arc::new(PipelineRunner::new());
    let manifest = Arc::new(Manifest::from_yaml("nodes: [{ id: a, type: Echo }]").unwrap());
    let output = transport.execute(manifest.clone(), TransportData::new("once")).await.unwrap();
    assert_eq!(output.data.as_text(), Some("once"));
    let session: Box<dyn StreamSession> = transport.stream(manifest).await.unwrap();
    // A session may be moved to another task.
    let echoed = tokio::spawn(async move {
        let mut session = session;
        session.send_input(TransportData::new("moved")).await.unwrap();
        let output = session.recv_output().await.unwrap().unwrap();
        session.close().await.unwrap();
        output
    });
    assert_eq!(echoed.await.unwrap().data.as_text(), Some("moved"));
}

/// Counts how many of its kind live, and never answers.
struct Living(Arc<AtomicUsize>);

impl Living {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AsyncNode for Living {
    async fn process(&mut self, _input: RuntimeData, _out: &mut AsyncEmitter<'_>) -> NodeResult {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_and_closing_end_every_task() {
    let count = Arc::new(AtomicUsize::new(0));
    let yaml = "nodes: [{ id: a, type: Echo }, { id: b, type: Living }, { id: c, type: Living }]\nconnections: [{ from: a, to: b }, { from: a, to: c }]";
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for way in ["drop", "close", "drop while sending", "drop both ends"] {
        let counter = Arc::clone(&count);
        let mut session = session_with(yaml, |registry| {
            registry.register(NodeType::asynchronous("Living", move |_| Ok(Living::new(&counter))));
        });
        session.send_input(TransportData::new("stuck")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        match way {
            "drop" => drop(session),
            "close" => session.close().await,
            "drop while sending" => {
                let sending = async {
                    loop {
                        session.send_input(TransportData::new("more")).await.unwrap();
                    }
                };
                assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err());
                drop(session);
            }
            _ => {
                let (sender, receiver) = session.split();
                drop(receiver);
                assert!(!sender.is_active());
                assert!(sender.send_input(TransportData::new("late")).await.is_err());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(count.load(Ordering::SeqCst), 0, "{way}");
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_session_ends_its_other_tasks() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let yaml = "nodes: [{ id: a, type: Fails }, { id: b, type: Living }]";
    let mut session = session_with(yaml, |registry| {
        registry.register(NodeType::asynchronous("Living", move |_| Ok(Living::new(&counter))));
        registry.register_fn("Fails", |_, _| Err("always".into()));
    });
    session.send_input(TransportData::new("x")).await.unwrap();
    assert_eq!(session.recv_output().await.unwrap_err().node(), Some("a"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_session_does_not_hold_up_another() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut registry = NodeRegistry::with_builtin();
    registry.register(NodeType::asynchronous("Living", move |_| Ok(Living::new(&count))));
    let runner = PipelineRunner::with_registry(registry);
    let stuck = Manifest::from_yaml("nodes: [{ id: a, type: Living }]").unwrap();
    let fluent = Manifest::from_yaml("nodes: [{ id: a, type: Echo }]").unwrap();
    let mut stuck = runner.create_session(&stuck).unwrap();
    stuck.send_input(TransportData::new("x")).await.unwrap();
    let mut fluent = runner.create_session(&fluent).unwrap();
    for _ in 0..100 {
        fluent.send_input(TransportData::new("y")).await.unwrap();
        assert_eq!(drain(&mut fluent).await, ["y"]);
    }
}
