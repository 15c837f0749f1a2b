use std::fmt;

use remotemedia_media::without_password;
use rtc::ice::url::{ProtoType, SchemeType, Url};

use crate::MeshError;

/// A STUN or TURN server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host[:port]` (RFC 7064) or `turn:host[:port][?transport=udp]` (RFC 7065); port 3478 unless given. Servers are
    /// reached over UDP only: `stuns:`, `turns:` and `?transport=tcp` are not supported.
    pub urls: Vec<String>,
    /// User name, for TURN.
    pub username: Option<String>,
    /// Password, for TURN.
    pub credential: Option<String>,
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IceServerRole {
    /// The address that it sees us at (STUN, RFC 8489).
    Stun,
    /// To pass packets on to the peer and back (TURN, RFC 8656).
    Turn,
}

/// What became of one server in an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceServerReport {
    /// Its host and port, as configured.
    pub server: String,
    /// What it was asked for; `None` if its name led to no address, so that it was not asked.
    pub role: Option<IceServerRole>,
    /// What came of it.
    pub outcome: IceServerOutcome,
}

/// What came of asking a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceServerOutcome {
    /// It gave what it was asked for.
    Answered,
    /// It did not answer so far.
    NoAnswer,
    /// Its name leads to no address.
    Unresolved {
        /// What the resolver said.
        error: String,
    },
    /// It refused. For TURN, 401 means a wrong user name or password.
    Refused {
        /// The error code (RFC 8489, section 14.8, and RFC 8656, section 19).
        code: u16,
        /// What the server said to it.
        reason: String,
    },
}

impl IceServer {
    /// Whether a server can be reached at `url`.
    pub fn is_supported(url: &str) -> bool {
        parse(url).is_some()
    }

    /// Whether one of its URLs is that of a TURN server which can be reached.
    pub fn is_turn(&self) -> bool {
        self.urls.iter().any(|url| parse(url).is_some_and(|url| url.scheme == SchemeType::Turn))
    }

    fn printable_urls(&self) -> Vec<String> {
        self.urls.iter().map(|url| without_password(url)).collect()
    }

    pub(crate) fn validate(&self) -> Result<(), MeshError> {
        let invalid = |value: String, allowed| Err(MeshError::InvalidConfig { field: "ice_servers", value, allowed });
        if let Some(url) = self.urls.iter().find(|url| !Self::is_supported(url)) {
            return invalid(
                without_password(url),
                "stun:host:port or turn:host:port, reached over UDP (not TCP or TLS)",
            );
        }
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if self.is_turn() && !(given(&self.username) && given(&self.credential)) {
            return invalid(format!("{:?}", self.printable_urls()), "a TURN server with user name and credential");
        }
        Ok(())
    }
}

/// The stack passes over what it cannot reach with a line in the log; one URL that it cannot parse ends its gathering. Users
/// and passwords have no place in such a URL: the stack would leave them out without a word, and browsers refuse them.
fn parse(url: &str) -> Option<Url> {
    let url = Url::parse_url(url).ok().filter(|_| !url.contains('@'))?;
    let known = matches!(url.scheme, SchemeType::Stun | SchemeType::Turn);
    (known && url.proto == ProtoType::Udp && !url.host.is_empty()).then_some(url)
}

impl fmt::Debug for IceServer {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.printable_urls())
            .field("username", &self.username)
            .field("credential", &self.credential.as_ref().map(|_| "…"))
            .finish()
    }
}

impl IceServerOutcome {
    /// Whether the server is of no use as things are. One that has not answered may still do so.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Unresolved { .. } | Self::Refused { .. })
    }
}

impl fmt::Display for IceServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stun => "STUN",
            Self::Turn => "TURN",
        })
    }
}

impl fmt::Display for IceServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNAUTHORIZED: u16 = 401;
        let role = self.role.map_or("ICE", |role| if role == IceServerRole::Turn { "TURN" } else { "STUN" });
        write!(f, "the {role} server {} ", self.server)?;
        match &self.outcome {
            IceServerOutcome::Answered => f.write_str("answered"),
            IceServerOutcome::NoAnswer => f.write_str("did not answer"),
            IceServerOutcome::Unresolved { error } => write!(f, "has no address ({error})"),
            IceServerOutcome::Refused { code: UNAUTHORIZED, .. } if self.role == Some(IceServerRole::Turn) => {
                f.write_str("refused the user name or password (401)")
            }
            IceServerOutcome::Refused { code, reason } => write!(f, "refused ({code} {reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_can_be_reached_are_taken() {
        for url in ["stun:h", "stun:h:19302", "stun:[2001:db8::1]:3478", "turn:h", "turn:1.2.3.4:80?transport=udp"] {
            assert!(IceServer::is_supported(url), "{url}");
        }
        for url in [
            "",
            "h:3478",
            "http://h",
            "stun:",
            "stun:h:port",
            "stun:u:p@h",
            "turn:u@h",
            "stun:h?transport=udp",
            "stuns:h",
            "turn:",
            "turn://h",
            "turn:h?transport=tcp",
            "turn:h?transport=sctp",
            "turns:h",
        ] {
            assert!(!IceServer::is_supported(url), "{url}");
        }
    }

    #[test]
    fn a_turn_server_needs_credentials_that_are_not_empty() {
        let server = |username: Option<&str>, credential: Option<&str>| IceServer {
            urls: vec!["turn:localhost:3478".into()],
            username: username.map(Into::into),
            credential: credential.map(Into::into),
        };
        server(Some("u"), Some("p")).validate().unwrap();
        for (username, credential) in [(None, None), (Some("u"), None), (None, Some("p")), (Some(""), Some("p"))] {
            assert!(server(username, credential).validate().is_err(), "{username:?} {credential:?}");
        }
        let stun = IceServer { urls: vec!["stun:localhost".into()], ..IceServer::default() };
        stun.validate().unwrap();
    }

    #[test]
    fn a_password_is_not_printed() {
        let credential = Some("secret".into());
        let server = IceServer { urls: vec!["turn:u:secret@h".into()], credential, ..IceServer::default() };
        assert!(!format!("{server:?}").contains("secret"));
        let refusal = server.validate().unwrap_err().to_string();
        assert!(refusal.contains("turn:u:…@h") && !refusal.contains("secret"), "{refusal}");
    }

    #[test]
    fn outcomes_are_told_in_words() {
        let report = |role, outcome| IceServerReport { server: "h:1".into(), role, outcome }.to_string();
        let refused = |code| IceServerOutcome::Refused { code, reason: "R".into() };
        let (stun, turn) = (Some(IceServerRole::Stun), Some(IceServerRole::Turn));
        assert_eq!(report(turn, refused(401)), "the TURN server h:1 refused the user name or password (401)");
        assert_eq!(report(turn, refused(486)), "the TURN server h:1 refused (486 R)");
        assert_eq!(report(stun, IceServerOutcome::NoAnswer), "the STUN server h:1 did not answer");
        let unresolved = IceServerOutcome::Unresolved { error: "E".into() };
        assert_eq!(report(None, unresolved), "the ICE server h:1 has no address (E)");
    }
}
