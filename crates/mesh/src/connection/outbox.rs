use std::{sync::Arc, time::Duration};

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

/// Hands messages to signaling one after the other, so that the actor never waits for a server.
pub(super) async fn run(
    signaler: Arc<dyn Signaler>,
    peer: PeerId,
    mut messages: mpsc::Receiver<SignalingMessage>,
    results: mpsc::WeakSender<Command>,
    cancel: CancellationToken,
) {
    let send_all = async {
        while let Some(message) = messages.recv().await {
            let is_description = matches!(message, SignalingMessage::Offer { .. } | SignalingMessage::Answer { .. });
            let result = send(&*signaler, &peer, message).await;
            let report = match result {
                Ok(()) if is_description => Command::DescriptionSent,
                Ok(()) => continue,
                Err(error) => Command::NotSent(error),
            };
            if let Some(results) = results.upgrade() {
                let _ = results.try_send(report);
            }
        }
    };
    let shut_down = async {
        cancel.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = send_all => {}
        () = shut_down => {}
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
