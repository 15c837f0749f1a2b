//! Data within a session, with what travels beside it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use super::{in_flight::Token, instance::Instance, settings::Change};
use crate::{data::RuntimeData, error::RuntimeError, node::Params, transport::TransportData};

/// What everything that a node's call makes inherits from the call's input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) sequence: Option<u64>,
    pub(crate) metadata: Option<Arc<HashMap<String, String>>>,
    pub(crate) token: Option<Token>,
}

/// A piece of data with its origin.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) data: RuntimeData,
    pub(crate) origin: Origin,
    /// The node or input that sent it along an edge; `None` until it is sent.
    pub(crate) from: Option<Arc<str>>,
}

/// What a node's task receives.
#[derive(Debug)]
pub(crate) enum Message {
    Data(Envelope),
    /// No further data comes along one of the edges.
    Finish(Origin),
    /// New params, from now on.
    Configure {
        change: Change,
        done: oneshot::Sender<Result<Params, RuntimeError>>,
    },
    /// The node goes on in another session.
    HandOver {
        to: oneshot::Sender<HandedOver>,
    },
}

/// A node on its way from one session to the next.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) instance: Instance,
    pub(crate) params: Params,
}

/// What a session's receiver receives.
#[derive(Debug)]
pub(crate) enum Output {
    Data { envelope: Envelope, port: Arc<str> },
    Failed { error: RuntimeError, is_fatal: bool, _token: Option<Token> },
}

impl Origin {
    /// Data made from this origin.
    pub(crate) fn derive(&self, data: RuntimeData) -> Envelope {
        Envelope { data, origin: self.clone(), from: None }
    }

    /// The same without a metadata entry.
    pub(crate) fn derive_without(&self, data: RuntimeData, key: &str) -> Envelope {
        let mut envelope = self.derive(data);
        if let Some(metadata) = envelope.origin.metadata.as_mut().filter(|metadata| metadata.contains_key(key)) {
            Arc::make_mut(metadata).remove(key);
        }
        envelope
    }

    /// The same with one more metadata entry.
    pub(crate) fn derive_with(&self, data: RuntimeData, key: String, value: String) -> Envelope {
        let mut envelope = self.derive(data);
        let metadata = envelope.origin.metadata.get_or_insert_default();
        Arc::make_mut(metadata).insert(key, value);
        envelope
    }
}

impl Envelope {
    /// An input, with the token that says that it is in flight.
    pub(crate) fn from_input(input: TransportData, token: Token) -> Self {
        let metadata = (!input.metadata.is_empty()).then(|| Arc::new(input.metadata));
        Self { data: input.data, origin: Origin { sequence: input.sequence, metadata, token: Some(token) }, from: None }
    }

    /// An output of the port `port`; its token ends here.
    pub(crate) fn into_output(self, port: Arc<str>) -> TransportData {
        let mut output = TransportData::new(self.data).with_port(port);
        output.sequence = self.origin.sequence;
        output.metadata = self.origin.metadata.map(Arc::unwrap_or_clone).unwrap_or_default();
        output
    }
}
