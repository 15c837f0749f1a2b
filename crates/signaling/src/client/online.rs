//! A registered connection: requests out, replies and events in.

use std::{collections::HashMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode as WireCloseCode};

use super::{
    Announcement, ClientError, ClientEvent, EndReason,
    actor::{Actor, AnnounceReply, CallReply, Command, Ended, Session, answer},
    connect::Socket,
    register,
};
use crate::protocol::{Announced, CloseCode, Id, InvalidField, Push, Reply, RpcError, method, notification, request};

/// How long a goodbye may take, of the second that `shutdown` has.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(700);
/// After how many ping intervals of silence a connection counts as lost.
const SILENT_INTERVALS: u32 = 3;

/// Runs until the connection ends. Whatever was not answered until then fails.
pub(super) async fn run(actor: &mut Actor, mut socket: Socket) -> Ended {
    let mut pending = Pending::default();
    let mut heard_at = Instant::now();
    let mut pings = pings(actor.config.ping_interval);
    let events = actor.events.clone();
    let ended = loop {
        let is_reading = actor.session.backlog.is_empty();
        tokio::select! {
            command = actor.commands.recv() => {
                let Some(command) = command else { break Goodbye::and(Ended::Shutdown, None) };
                match execute(actor, &mut socket, &mut pending, command).await {
                    Ok(None) => {}
                    Ok(Some(goodbye)) => break goodbye,
                    Err(Broken) => break Goodbye::none(Ended::Lost),
                }
            }
            permit = events.reserve(), if !is_reading => {
                let Ok(permit) = permit else { break Goodbye::and(Ended::Shutdown, None) };
                if let Some(event) = actor.session.backlog.pop_front() {
                    permit.send(event);
                }
                heard_at = Instant::now();
            }
            message = socket.next(), if is_reading => {
                heard_at = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => receive(&mut actor.session, &mut pending, &text),
                    Some(Ok(Message::Close(frame))) => {
                        // Answered by reading on.
                        let _ = timeout(GOODBYE_TIMEOUT, async { while let Some(Ok(_)) = socket.next().await {} }).await;
                        break Goodbye::none(closed(frame.map(|frame| frame.code)));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the signaling connection broke");
                        break Goodbye::none(Ended::Lost);
                    }
                    None => break Goodbye::none(Ended::Lost),
                }
            }
            _ = pings.tick() => {
                let is_silent = heard_at.elapsed() >= actor.config.ping_interval * SILENT_INTERVALS;
                let ping = Message::Ping(Vec::new().into());
                if (is_reading && is_silent) || send(actor, &mut socket, ping).await.is_err() {
                    break Goodbye::none(Ended::Lost);
                }
            }
        }
    };
    pending.fail();
    ended.say(socket).await
}

/// The connection does not take messages any more.
struct Broken;

/// How a connection is left.
struct Goodbye {
    ended: Ended,
    is_said: bool,
    reply: Option<oneshot::Sender<()>>,
}

impl Goodbye {
    fn none(ended: Ended) -> Self {
        Self { ended, is_said: false, reply: None }
    }

    fn and(ended: Ended, reply: Option<oneshot::Sender<()>>) -> Self {
        Self { ended, is_said: true, reply }
    }

    /// Leaves the room, closes the socket and waits until the server has closed it too.
    async fn say(self, mut socket: Socket) -> Ended {
        if self.is_said {
            let leaving = async {
                let leave = notification(method::LEAVE, &serde_json::Map::new());
                if socket.send(Message::text(leave)).await.is_ok() && socket.close(None).await.is_ok() {
                    while let Some(Ok(_)) = socket.next().await {}
                }
            };
            if timeout(GOODBYE_TIMEOUT, leaving).await.is_err() {
                tracing::debug!("the signaling server did not close the connection in time");
            }
        }
        if let Some(reply) = self.reply {
            answer(reply, ());
        }
        self.ended
    }
}

async fn execute(
    actor: &mut Actor,
    socket: &mut Socket,
    pending: &mut Pending,
    command: Command,
) -> Result<Option<Goodbye>, Broken> {
    match command {
        Command::Call { method, params, reply } => {
            let id = actor.session.next_id();
            pending.insert(id, Waiting::Call { method, reply });
            send(actor, socket, Message::text(request(Id::Number(id), method, &params))).await?;
        }
        Command::Announce { announcement, reply } => {
            let id = actor.session.next_id();
            let params = register::parameters(&actor.config, announcement.clone(), None);
            pending.insert(id, Waiting::Announce { announcement, reply });
            send(actor, socket, Message::text(request(Id::Number(id), method::ANNOUNCE, &params))).await?;
        }
        Command::Notify { method, params, reply } => {
            let sent = send(actor, socket, Message::text(notification(method, &params))).await;
            let is_lost = sent.is_err();
            answer(reply, sent.map_err(|Broken| ClientError::ConnectionLost { method }));
            if is_lost {
                return Err(Broken);
            }
        }
        Command::Leave { reply } => return Ok(Some(Goodbye::and(Ended::Left, Some(reply)))),
        Command::Shutdown { reply } => return Ok(Some(Goodbye::and(Ended::Shutdown, Some(reply)))),
    }
    Ok(None)
}

/// A server that takes nothing for as long as a request may take is lost.
async fn send(actor: &Actor, socket: &mut Socket, message: Message) -> Result<(), Broken> {
    match timeout(actor.config.request_timeout, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Broken),
    }
}

fn receive(session: &mut Session, pending: &mut Pending, text: &str) {
    let replies = match Reply::parse(text) {
        Ok(replies) => replies,
        Err(error) => return tracing::debug!(%error, "the signaling server sent something else than JSON"),
    };
    for reply in replies {
        match reply {
            Reply::Response { id: Id::Number(id), outcome } => pending.answer(id, outcome, session),
            Reply::Response { outcome, .. } => tracing::debug!(?outcome, "a reply to no request"),
            Reply::Notification { method, params } => match Push::from_notification(&method, &params) {
                Ok(Some(push)) => session.push(push),
                Ok(None) => tracing::debug!(method, "a notification that is not known here"),
                Err(error) => tracing::debug!(method, %error, "a notification that breaks the protocol"),
            },
        }
    }
}

impl Session {
    fn push(&mut self, push: Push) {
        let event = match push {
            Push::Announced(announced) => {
                self.known.insert(announced.record.peer_id.clone());
                ClientEvent::PeerAnnounced { peer: announced.record, resumed: announced.resumed }
            }
            Push::Left(left) => {
                self.known.remove(&left.peer_id);
                ClientEvent::PeerLeft { peer_id: left.peer_id, reason: left.reason }
            }
            Push::Offer(offer) => ClientEvent::Offer(offer),
            Push::Answer(answer) => ClientEvent::Answer(answer),
            Push::Candidate(candidate) => ClientEvent::Candidate(candidate),
            Push::Disconnected(disconnected) => ClientEvent::PeerDisconnected(disconnected),
        };
        self.backlog.push_back(event);
    }
}

/// Requests that wait for their replies.
#[derive(Default)]
struct Pending(HashMap<u64, Waiting>);

enum Waiting {
    Call { method: &'static str, reply: CallReply },
    Announce { announcement: Announcement, reply: AnnounceReply },
}

impl Pending {
    /// Above this many, those that nobody waits for any more are looked for.
    const MANY: usize = 64;

    fn insert(&mut self, id: u64, waiting: Waiting) {
        if self.0.len() >= Self::MANY {
            self.0.retain(|_, waiting| match waiting {
                Waiting::Call { reply, .. } => !reply.is_closed(),
                Waiting::Announce { reply, .. } => !reply.is_closed(),
            });
        }
        self.0.insert(id, waiting);
    }

    fn answer(&mut self, id: u64, outcome: Result<Value, RpcError>, session: &mut Session) {
        match self.0.remove(&id) {
            None => tracing::debug!(id, "a reply that nobody waits for"),
            Some(Waiting::Call { method, reply }) => {
                answer(reply, outcome.map_err(|error| ClientError::from_rpc(method, error)));
            }
            Some(Waiting::Announce { announcement, reply }) => {
                let invalid = |source: InvalidField| ClientError::InvalidReply { method: method::ANNOUNCE, source };
                let outcome = outcome.map_err(|error| ClientError::from_rpc(method::ANNOUNCE, error));
                let outcome = outcome.and_then(|result| Announced::from_value(&result).map_err(invalid));
                if let Ok(announced) = &outcome {
                    session.key = Some(announced.session_key.clone());
                    session.announcement = Some(announcement);
                }
                answer(reply, outcome);
            }
        }
    }

    fn fail(&mut self) {
        for (_, waiting) in self.0.drain() {
            match waiting {
                Waiting::Call { method, reply } => answer(reply, Err(ClientError::ConnectionLost { method })),
                Waiting::Announce { reply, .. } => {
                    answer(reply, Err(ClientError::ConnectionLost { method: method::ANNOUNCE }));
                }
            }
        }
    }
}

fn closed(code: Option<WireCloseCode>) -> Ended {
    let code = code.map(u16::from);
    if code == Some(CloseCode::TakenOver.code()) {
        Ended::Refused(EndReason::TakenOver)
    } else if code == Some(CloseCode::Policy.code()) {
        Ended::Refused(EndReason::Kicked)
    } else {
        Ended::Lost
    }
}

fn pings(every: Duration) -> Interval {
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
