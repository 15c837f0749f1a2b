use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use rtc::stun::{
    attributes::ATTR_USERNAME,
    error_code::ErrorCodeAttribute,
    message::{
        CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, METHOD_ALLOCATE, METHOD_BINDING, Message,
        TransactionId, is_stun_message,
    },
};

use crate::{IceServerOutcome, IceServerReport, IceServerRole};

/// Sees what the STUN and TURN servers of one connection answer: the library under us only logs that they refuse.
#[derive(Default)]
pub(super) struct IceServerWatch {
    state: Mutex<State>,
}

type Listener = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    /// Which configured server an address belongs to.
    names: HashMap<SocketAddr, String>,
    /// Requests that are not answered, by their number.
    asked: HashMap<TransactionId, Asked>,
    outcomes: BTreeMap<(String, Option<IceServerRole>), IceServerOutcome>,
    listener: Option<Listener>,
}

struct Asked {
    server: String,
    role: IceServerRole,
    /// A request for a relay without a user name is refused always, and then made again with one.
    is_signed: bool,
}

/// Requests remembered. Each socket makes three for each server.
const MAX_ASKED: usize = 256;
/// The longest reason that is kept of a server, in characters.
const MAX_REASON: usize = 100;

impl IceServerWatch {
    /// Calls `listener` whenever a server has failed.
    pub(super) fn on_failure(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.state.lock().listener = Some(Arc::new(listener));
    }

    /// A server's name led to these addresses, or to none.
    pub(super) fn resolved(&self, server: &str, addresses: &std::io::Result<Vec<SocketAddr>>) {
        match addresses {
            Ok(addresses) => {
                let mut state = self.state.lock();
                state.names.extend(addresses.iter().map(|address| (*address, server.to_owned())));
            }
            Err(error) => {
                let error = error.to_string().chars().take(MAX_REASON).collect();
                self.settle((server.to_owned(), None), IceServerOutcome::Unresolved { error });
            }
        }
    }

    /// A datagram was sent.
    pub(super) fn sent(&self, to: SocketAddr, datagram: &[u8]) {
        if !is_stun_message(datagram) {
            return;
        }
        let mut state = self.state.lock();
        // Most STUN messages are checks of paths to the peer.
        let Some(server) = state.names.get(&to).cloned() else { return };
        let Some(message) = decode(datagram).filter(|message| message.typ.class == CLASS_REQUEST) else { return };
        let role = match message.typ.method {
            METHOD_BINDING => IceServerRole::Stun,
            METHOD_ALLOCATE => IceServerRole::Turn,
            _ => return,
        };
        state.outcomes.entry((server.clone(), Some(role))).or_insert(IceServerOutcome::NoAnswer);
        if state.asked.len() < MAX_ASKED {
            let is_signed = message.contains(ATTR_USERNAME);
            state.asked.insert(message.transaction_id, Asked { server, role, is_signed });
        }
    }

    /// A datagram arrived.
    pub(super) fn received(&self, datagram: &[u8]) {
        if !is_stun_message(datagram) || self.state.lock().asked.is_empty() {
            return;
        }
        let Some(message) = decode(datagram) else { return };
        let is_error = message.typ.class == CLASS_ERROR_RESPONSE;
        if !is_error && message.typ.class != CLASS_SUCCESS_RESPONSE {
            return;
        }
        let Some(asked) = self.state.lock().asked.remove(&message.transaction_id) else { return };
        let key = (asked.server, Some(asked.role));
        if !is_error {
            self.settle(key, IceServerOutcome::Answered);
        } else if asked.is_signed || asked.role == IceServerRole::Stun {
            let mut error = ErrorCodeAttribute::default();
            // A refusal without a code is one all the same.
            let _ = error.get_from(&message);
            let reason = String::from_utf8_lossy(&error.reason).chars().take(MAX_REASON).collect();
            self.settle(key, IceServerOutcome::Refused { code: error.code.0, reason });
        }
    }

    /// What became of each server so far.
    pub(super) fn reports(&self) -> Vec<IceServerReport> {
        let state = self.state.lock();
        let report = |((server, role), outcome): (&(String, Option<IceServerRole>), &IceServerOutcome)| {
            IceServerReport { server: server.clone(), role: *role, outcome: outcome.clone() }
        };
        state.outcomes.iter().map(report).collect()
    }

    fn settle(&self, key: (String, Option<IceServerRole>), outcome: IceServerOutcome) {
        let listener = {
            let mut state = self.state.lock();
            let failed = outcome.is_failure();
            let place = state.outcomes.entry(key).or_insert(IceServerOutcome::NoAnswer);
            // One socket to which the server gave what was asked for is enough.
            if *place != IceServerOutcome::Answered {
                *place = outcome;
            }
            state.listener.clone().filter(|_| failed)
        };
        if let Some(listener) = listener {
            listener();
        }
    }
}

fn decode(datagram: &[u8]) -> Option<Message> {
    let mut message = Message::new();
    message.raw = datagram.to_vec();
    message.decode().ok().map(|()| message)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use rtc::stun::{
        error_code::ErrorCode,
        message::{MessageType, Method, Setter},
        textattrs::Username,
    };

    use super::*;

    const NAME: &str = "turn.example.com:3478";

    fn server() -> SocketAddr {
        "192.0.2.1:3478".parse().unwrap()
    }

    fn message(
        id: u8,
        method: Method,
        class: rtc::stun::message::MessageClass,
        more: Option<Box<dyn Setter>>,
    ) -> Vec<u8> {
        let mut setters: Vec<Box<dyn Setter>> =
            vec![Box::new(TransactionId([id; 12])), Box::new(MessageType::new(method, class))];
        setters.extend(more);
        let mut message = Message::new();
        message.build(&setters).unwrap();
        message.raw
    }

    fn refusal(id: u8, method: Method, code: u16) -> Vec<u8> {
        let error = ErrorCodeAttribute { code: ErrorCode(code), reason: b"No".to_vec() };
        message(id, method, CLASS_ERROR_RESPONSE, Some(Box::new(error)))
    }

    fn signed(id: u8) -> Vec<u8> {
        let name = Username::new(ATTR_USERNAME, "u".into());
        message(id, METHOD_ALLOCATE, CLASS_REQUEST, Some(Box::new(name)))
    }

    fn watch() -> (IceServerWatch, Arc<AtomicUsize>) {
        let (watch, failures) = (IceServerWatch::default(), Arc::new(AtomicUsize::new(0)));
        let counter = failures.clone();
        watch.on_failure(move || {
            counter.fetch_add(1, SeqCst);
        });
        watch.resolved(NAME, &Ok(vec![server()]));
        (watch, failures)
    }

    fn outcome(watch: &IceServerWatch) -> IceServerOutcome {
        let reports = watch.reports();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].server, NAME);
        reports[0].outcome.clone()
    }

    #[test]
    fn the_first_refusal_of_a_relay_is_no_failure_and_the_second_is() {
        let (watch, failures) = watch();
        watch.sent(server(), &message(1, METHOD_ALLOCATE, CLASS_REQUEST, None));
        watch.received(&refusal(1, METHOD_ALLOCATE, 401));
        assert_eq!((outcome(&watch), failures.load(SeqCst)), (IceServerOutcome::NoAnswer, 0));
        watch.sent(server(), &signed(2));
        watch.received(&refusal(2, METHOD_ALLOCATE, 401));
        let refused = IceServerOutcome::Refused { code: 401, reason: "No".into() };
        assert_eq!((outcome(&watch), failures.load(SeqCst)), (refused, 1));
        // What was answered is not answered again.
        watch.received(&refusal(2, METHOD_ALLOCATE, 500));
        assert_eq!(failures.load(SeqCst), 1);
    }

    #[test]
    fn one_success_counts_whatever_other_sockets_meet() {
        let (watch, _) = watch();
        watch.sent(server(), &signed(1));
        watch.sent(server(), &signed(2));
        watch.received(&message(1, METHOD_ALLOCATE, CLASS_SUCCESS_RESPONSE, None));
        watch.received(&refusal(2, METHOD_ALLOCATE, 486));
        assert_eq!(outcome(&watch), IceServerOutcome::Answered);
    }

    #[test]
    fn checks_of_paths_and_strangers_answers_are_none_of_its_business() {
        let (watch, failures) = watch();
        let peer = "192.0.2.9:5000".parse().unwrap();
        watch.sent(peer, &message(1, METHOD_BINDING, CLASS_REQUEST, None));
        watch.received(&refusal(1, METHOD_BINDING, 487));
        watch.received(&refusal(7, METHOD_ALLOCATE, 401));
        watch.received(b"junk");
        watch.received(&[0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(watch.reports().is_empty());
        assert_eq!(failures.load(SeqCst), 0);
    }

    #[test]
    fn a_name_without_an_address_is_a_failure() {
        let (watch, failures) = (IceServerWatch::default(), Arc::new(AtomicUsize::new(0)));
        let counter = failures.clone();
        watch.on_failure(move || {
            counter.fetch_add(1, SeqCst);
        });
        watch.resolved(NAME, &Err(io::Error::other("no such host")));
        assert_eq!(outcome(&watch), IceServerOutcome::Unresolved { error: "no such host".into() });
        assert_eq!(failures.load(SeqCst), 1);
    }
}
