//! When `recv_output` waits, and when it answers `None`.

mod common;

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use async_trait::async_trait;
use common::{drain, session_with, text};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{KindSet, RuntimeData},
    node::{AsyncEmitter, AsyncNode, Emitter, Node, NodeRegistry, NodeResult, NodeType},
    transport::TransportData,
};
use tokio::{sync::Semaphore, time::Instant};

const ONE: &str = "pipeline: { nodes: [{ id: a, type: T }] }";

/// Answers after a second.
struct Slow;

#[async_trait]
impl AsyncNode for Slow {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(Duration::from_secs(1)).await;
        out.emit(input).await;
        Ok(())
    }
}

fn slow(registry: &mut NodeRegistry) {
    registry.register(NodeType::asynchronous("T", |_| Ok(Slow)));
}

/// Whether `future` is ready at once.
async fn is_ready(future: impl Future) -> bool {
    let mut future = pin!(future);
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_every_accepted_input_and_then_answers_none() {
    let mut session = session_with(ONE, slow);
    for word in ["one", "two", "three"] {
        session.send_input(TransportData::new(word)).await.unwrap();
    }
    let started = Instant::now();
    assert_eq!(drain(&mut session).await, ["one", "two", "three"]);
    assert_eq!(started.elapsed().as_secs(), 3);
    assert!(session.is_active());
    session.send_input(TransportData::new("four")).await.unwrap();
    assert_eq!(drain(&mut session).await, ["four"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_answers_none_at_once() {
    let mut session = session_with(ONE, slow);
    assert!(session.recv_output().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_input_that_a_node_swallows_ends_the_wait() {
    let mut session = session_with(ONE, |registry| {
        registry.register_fn("T", |_, _| Ok(()));
    });
    session.send_input(TransportData::new("gone")).await.unwrap();
    assert!(session.recv_output().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn data_that_a_node_keeps_is_not_in_flight() {
    let mut session = session_with(ONE, |registry| {
        let mut kept = Vec::new();
        registry.register_fn("T", move |input, out| {
            kept.push(input);
            if kept.len() == 3 {
                kept.drain(..).for_each(|data| out.emit(data));
            }
            Ok(())
        });
    });
    for word in ["one", "two"] {
        session.send_input(TransportData::new(word)).await.unwrap();
        assert!(session.recv_output().await.unwrap().is_none());
    }
    session.send_input(TransportData::new("three")).await.unwrap();
    assert_eq!(drain(&mut session).await, ["one", "two", "three"]);
}

/// Emits on its own clock, every 20 ms.
struct Clock;

impl Node for Clock {
    fn process(&mut self, _input: RuntimeData, _out: &mut Emitter<'_>) -> NodeResult {
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        out.emit("tick");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_makes_on_its_own_clock_is_awaited_by_next_output_alone() {
    let mut session = session_with(ONE, |registry| {
        registry.register(NodeType::new("T", |_| Ok(Clock)).accepts(KindSet::NONE));
    });
    assert!(session.recv_output().await.unwrap().is_none());
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(text(&session.next_output().await.unwrap().unwrap()), "tick");
    }
    assert_eq!(started.elapsed().as_millis(), 60);
    // After the end of input the clock stops, and so does the wait.
    session.finish().await.unwrap();
    while let Some(output) = session.next_output().await.unwrap() {
        assert_eq!(text(&output), "tick");
    }
}

#[tokio::test(start_paused = true)]
async fn next_output_waits_while_nothing_is_in_flight() {
    let mut session = session_with(ONE, slow);
    assert!(!is_ready(session.next_output()).await);
    session.send_input(TransportData::new("late")).await.unwrap();
    assert_eq!(text(&session.next_output().await.unwrap().unwrap()), "late");
}

#[tokio::test(start_paused = true)]
async fn after_close_the_answer_is_none_for_ever() {
    let mut session = session_with(ONE, slow);
    session.send_input(TransportData::new("lost")).await.unwrap();
    session.close().await;
    session.close().await;
    assert!(session.recv_output().await.unwrap().is_none());
    assert!(session.next_output().await.unwrap().is_none());
    assert!(session.recv_output().await.unwrap().is_none());
    assert!(!session.is_active());
    let refused = session.send_input(TransportData::new("more")).await;
    assert!(matches!(refused, Err(RuntimeError::SessionClosed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_is_dropped_loses_nothing() {
    let mut session = session_with(ONE, slow);
    for number in 0..20 {
        session.send_input(TransportData::new(number.to_string())).await.unwrap();
        if number >= 10 {
            let received = session.recv_output().await.unwrap().unwrap();
            assert_eq!(text(&received), (number - 10).to_string());
        }
        // Dropped at every point of its way, by a timer that fires in the middle.
        let cut = tokio::time::timeout(Duration::from_millis(100), session.recv_output()).await;
        assert!(cut.is_err());
    }
    assert_eq!(drain(&mut session).await, (10..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_was_not_accepted() {
    let gate = Arc::new(Semaphore::new(0));
    let mut session = session_with("pipeline: { nodes: [{ id: a, type: T, queue: 1 }] }", |registry| {
        let gate = Arc::clone(&gate);
        registry.register(NodeType::asynchronous("T", move |_| Ok(Gated(Arc::clone(&gate)))));
    });
    session.send_input(TransportData::new("at work")).await.unwrap();
    tokio::task::yield_now().await;
    session.send_input(TransportData::new("queued")).await.unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(1), session.send_input(TransportData::new("dropped"))).await;
    assert!(refused.is_err(), "the queue is full");
    gate.add_permits(10);
    assert_eq!(drain(&mut session).await, ["at work", "queued"]);
}

/// Works only while the semaphore lets it.
struct Gated(Arc<Semaphore>);

#[async_trait]
impl AsyncNode for Gated {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        self.0.acquire().await?.forget();
        out.emit(input).await;
        Ok(())
    }
}
