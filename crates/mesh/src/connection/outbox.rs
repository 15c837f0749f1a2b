use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use remotemedia_media::PeerId;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::peer::Command;
use crate::{Signaler, SignalingError, SignalingMessage};

/// How long a message may wait for signaling to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a farewell may take once the mesh is shut down.
const GRACE: Duration = Duration::from_millis(500);
/// JSON-RPC code of the signaling protocol: too many messages, try later.
const RATE_LIMITED: i32 = -32005;

/// How many candidates may be on their way at once.
const MAX_CANDIDATES: usize = 16;

/// Hands messages to signaling, so that the actor never waits for a server. Descriptions and farewells go one after the
/// other; candidates wait neither for those nor for each other, because a receiver keeps those that come early, and each
/// wait would cost a round trip to the server.
pub(super) async fn run(
    signaler: Arc<dyn Signaler>,
    peer: PeerId,
    messages: mpsc::Receiver<SignalingMessage>,
    results: mpsc::WeakSender<Command>,
    cancel: CancellationToken,
) {
    let shut_down = async {
        cancel.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        () = send_all(&*signaler, &peer, messages, &results) => {}
        () = shut_down => {}
    }
}

async fn send_all(
    signaler: &dyn Signaler,
    peer: &PeerId,
    mut messages: mpsc::Receiver<SignalingMessage>,
    results: &mpsc::WeakSender<Command>,
) {
    let deliver = |message: SignalingMessage| async move {
        let is_description = matches!(message, SignalingMessage::Offer { .. } | SignalingMessage::Answer { .. });
        let report = match send(signaler, peer, message).await {
            Ok(()) if is_description => Command::DescriptionSent,
            Ok(()) => return,
            Err(error) => Command::NotSent(error),
        };
        if let Some(results) = results.upgrade() {
            let _ = results.try_send(report);
        }
    };
    // At most one: a queue of its own, so that the next one waits in `messages`.
    let mut in_turn = FuturesUnordered::new();
    let mut next_in_turn = None;
    let mut candidates = FuturesUnordered::new();
    let mut open = true;
    loop {
        if in_turn.is_empty()
            && let Some(message) = next_in_turn.take()
        {
            in_turn.push(deliver(message));
        }
        tokio::select! {
            biased;
            Some(()) = in_turn.next() => {}
            Some(()) = candidates.next() => {}
            message = messages.recv(), if open && next_in_turn.is_none() && candidates.len() < MAX_CANDIDATES => {
                match message {
                    Some(candidate @ SignalingMessage::Candidate(_)) => candidates.push(deliver(candidate)),
                    Some(message) => next_in_turn = Some(message),
                    None => open = false,
                }
            }
            else => return,
        }
    }
}

async fn send(signaler: &dyn Signaler, peer: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
    let give_up = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(50);
    loop {
        match signaler.send(peer, message.clone()).await {
            Err(SignalingError::NotConnected | SignalingError::Refused { code: RATE_LIMITED, .. })
                if Instant::now() < give_up =>
            {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            result => return result,
        }
    }
}
