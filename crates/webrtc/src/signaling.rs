//! Carries the mesh's messages over the JSON-RPC signaling client.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use remotemedia_media::{PeerId, without_password};
use remotemedia_mesh::{
    DisconnectReason, IceCandidate, IceServer, Signaler, SignalingError, SignalingEvent, SignalingMessage,
};
use remotemedia_signaling::{
    client::{Announcement, ClientConfig, ClientError, ClientEvent, SignalingClient},
    protocol::{self, Candidate, Capability, RoomId},
};

use crate::{
    codec_config::invalid,
    config::Settings,
    error::{Result, WebRtcError},
};

/// The JSON-RPC client as the mesh's [`Signaler`].
pub(crate) struct JsonRpcSignaler {
    client: SignalingClient,
    local_id: PeerId,
    /// What is reported before anything else: who was in the room on arrival, say.
    waiting: Mutex<VecDeque<SignalingEvent>>,
    /// The ICE servers of the configuration, which the server's come on top of.
    own_servers: Vec<IceServer>,
}

impl JsonRpcSignaler {
    /// Registers with the signaling server. Answers the ICE servers that there are to begin with, too: the configuration's and
    /// those that the server recommends.
    pub(crate) async fn connect(settings: &Settings) -> Result<(Self, Vec<IceServer>)> {
        let url = settings.signaling_url.to_string();
        let failed = |source: ClientError| WebRtcError::SignalingFailed {
            url: without_password(&url),
            source: Arc::new(source),
        };
        let mut config = ClientConfig::new(url.clone(), settings.peer_id.clone());
        config.room = RoomId::new(&settings.room)
            .map_err(|_| invalid("room", &settings.room, "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'"))?;
        config.token.clone_from(&settings.signaling_token);
        let client = SignalingClient::new(config).map_err(failed)?;
        let announced = client.announce(Announcement::new(capabilities(settings))).await.map_err(failed)?;
        let own_servers = settings.mesh.ice_servers.clone();
        let ice_servers = with_recommended(&own_servers, announced.ice_servers);
        let present = announced.peers.into_iter().map(|p| SignalingEvent::PeerAvailable { peer: p.peer_id });
        let waiting = Mutex::new(present.collect());
        Ok((Self { client, local_id: settings.peer_id.clone(), waiting, own_servers }, ice_servers))
    }

    /// Leaves the room and closes the connection to the server.
    pub(crate) async fn close(&self) {
        self.client.shutdown().await;
    }
}

/// The configuration's ICE servers, and what can be used of those that the signaling server recommends.
fn with_recommended(own: &[IceServer], recommended: Vec<protocol::IceServer>) -> Vec<IceServer> {
    let server = |s: protocol::IceServer| IceServer { urls: s.urls, username: s.username, credential: s.credential };
    own.iter().cloned().chain(recommended.into_iter().map(server).filter_map(usable)).collect()
}

/// What the mesh takes of a server that the signaling server recommends: browsers reach servers in more ways, which is no
/// reason not to start.
fn usable(mut server: IceServer) -> Option<IceServer> {
    let (mut urls, left_out): (Vec<_>, Vec<_>) =
        std::mem::take(&mut server.urls).into_iter().partition(|url| IceServer::is_supported(url));
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !(given(&server.username) && given(&server.credential)) {
        urls.retain(|url| !url.starts_with("turn"));
    }
    if !left_out.is_empty() || urls.is_empty() {
        let printable = |urls: &[String]| urls.iter().map(|url| without_password(url)).collect::<Vec<_>>();
        let (left_out, used) = (printable(&left_out), printable(&urls));
        tracing::warn!(?left_out, ?used, "ICE servers that the signaling server recommends are left out");
    }
    server.urls = urls;
    (!server.urls.is_empty()).then_some(server)
}

/// What this peer can do. The protocol wants at least one, and a peer with everything off can still exchange nothing
/// but descriptions: it counts as one with data.
fn capabilities(settings: &Settings) -> Vec<Capability> {
    let mut capabilities = Vec::new();
    if settings.audio.is_some() {
        capabilities.push(Capability::Audio);
    }
    if settings.video.is_some() {
        capabilities.push(Capability::Video);
    }
    if settings.data_channel.is_some() || capabilities.is_empty() {
        capabilities.push(Capability::Data);
    }
    capabilities
}

#[async_trait]
impl Signaler for JsonRpcSignaler {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        let sent = match message {
            SignalingMessage::Offer { sdp, request_id } => self.client.offer(to, &sdp, &request_id).await,
            SignalingMessage::Answer { sdp, request_id } => self.client.answer(to, &sdp, &request_id).await,
            SignalingMessage::Candidate(candidate) => {
                let candidate = Candidate {
                    from: self.local_id.clone(),
                    to: to.clone(),
                    candidate: candidate.candidate,
                    sdp_mid: candidate.sdp_mid,
                    sdp_m_line_index: candidate.sdp_m_line_index,
                    user_fragment: candidate.user_fragment,
                    request_id: candidate.request_id,
                };
                self.client.candidate(candidate).await
            }
            SignalingMessage::Disconnect { reason, request_id } => {
                self.client.disconnect(to, reason.as_str(), request_id.as_deref()).await
            }
            _ => return Err(refused(to, "this kind of message is not part of the protocol")),
        };
        sent.map_err(|error| signaling_error(to, &error))
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        if let Some(event) = self.waiting.lock().pop_front() {
            return Some(event);
        }
        loop {
            let event = self.client.next_event().await?;
            if let ClientEvent::Ended { reason } = &event {
                tracing::warn!(?reason, "the signaling server has ended this registration");
            }
            if let ClientEvent::Connected { ice_servers } = event {
                // Told second, so that whoever waits for it connects with the new servers.
                self.waiting.lock().push_back(SignalingEvent::Connected(true));
                return Some(SignalingEvent::IceServers(with_recommended(&self.own_servers, ice_servers)));
            }
            if let Some(event) = mesh_event(event) {
                return Some(event);
            }
        }
    }
}

fn mesh_event(event: ClientEvent) -> Option<SignalingEvent> {
    let message = |from, message| SignalingEvent::Message { from, message };
    Some(match event {
        ClientEvent::Disconnected { .. } | ClientEvent::Ended { .. } => SignalingEvent::Connected(false),
        ClientEvent::PeerAnnounced { peer, .. } => SignalingEvent::PeerAvailable { peer: peer.peer_id },
        ClientEvent::PeerLeft { peer_id, reason } => {
            SignalingEvent::PeerLeft { peer: peer_id, on_purpose: reason.is_on_purpose() }
        }
        ClientEvent::Offer(d) => message(d.from, SignalingMessage::Offer { sdp: d.sdp, request_id: d.request_id }),
        ClientEvent::Answer(d) => message(d.from, SignalingMessage::Answer { sdp: d.sdp, request_id: d.request_id }),
        ClientEvent::Candidate(c) => {
            let candidate = IceCandidate {
                candidate: c.candidate,
                sdp_mid: c.sdp_mid,
                sdp_m_line_index: c.sdp_m_line_index,
                user_fragment: c.user_fragment,
                request_id: c.request_id,
            };
            message(c.from, SignalingMessage::Candidate(candidate))
        }
        ClientEvent::PeerDisconnected(d) => {
            let reason = DisconnectReason::from_name(&d.reason);
            message(d.from, SignalingMessage::Disconnect { reason, request_id: d.request_id })
        }
        _ => return None,
    })
}

fn signaling_error(to: &PeerId, error: &ClientError) -> SignalingError {
    match error {
        ClientError::PeerNotFound { .. } => SignalingError::PeerNotFound(to.clone()),
        ClientError::Refused { source, .. } => {
            SignalingError::Refused { code: source.code, message: error.to_string() }
        }
        ClientError::NotConnected
        | ClientError::ConnectionLost { .. }
        | ClientError::Timeout { .. }
        | ClientError::Closed
        | ClientError::RateLimited { .. } => SignalingError::NotConnected,
        other => refused(to, &other.to_string()),
    }
}

fn refused(to: &PeerId, message: &str) -> SignalingError {
    SignalingError::Refused { code: -32603, message: format!("{message} (to {to})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(urls: &[&str], credential: Option<&str>) -> Option<Vec<String>> {
        let server = IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: credential.map(|_| "u".to_owned()),
            credential: credential.map(Into::into),
        };
        usable(server).map(|server| server.urls)
    }

    #[test]
    fn of_a_recommended_server_what_can_be_reached_is_used() {
        let all = ["turn:h:3478", "turn:h:3478?transport=tcp", "turns:h:5349", "stun:h:3478"];
        assert_eq!(used(&all, Some("p")).unwrap(), ["turn:h:3478", "stun:h:3478"]);
        assert_eq!(used(&all, None).unwrap(), ["stun:h:3478"]);
        assert_eq!(used(&["turn:h"], Some("")), None);
        assert_eq!(used(&["turns:h"], Some("p")), None);
    }
}
