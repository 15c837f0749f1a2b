use std::sync::Arc;

use async_trait::async_trait;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Permit},
    task::JoinSet,
};

use super::{
    SessionControl,
    control::NodeHandle,
    envelope::{Envelope, Message, Origin, Output},
    metrics::NodeStats,
    outlet::{Link, LinkEnd, Outlet},
    settings::Settings,
    shared::{Phase, Shared},
    task::NodeTask,
};
use crate::{
    data::KindSet,
    error::RuntimeError,
    graph::{Destination, Graph, Target},
    manifest::{Manifest, MediaFormat},
    node::Params,
    transport::{StreamSession, TransportData},
};

/// A pipeline that runs in this process. Dropping it ends its tasks.
#[derive(Debug)]
pub struct Session {
    sender: SessionSender,
    receiver: SessionReceiver,
}

/// The end of a session that takes inputs. Clones share the session, and do not keep it alive.
#[derive(Clone, Debug)]
pub struct SessionSender {
    inner: Arc<Inner>,
}

/// The end of a session that gives outputs. Dropping it ends the session.
#[derive(Debug)]
pub struct SessionReceiver {
    inner: Arc<Inner>,
    outputs: mpsc::Receiver<Output>,
    tasks: JoinSet<()>,
    is_over: bool,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    control: SessionControl,
    inputs: Vec<Input>,
    input_formats: Vec<MediaFormat>,
}

#[derive(Debug)]
struct Input {
    id: Arc<str>,
    links: Vec<InputLink>,
}

#[derive(Debug)]
struct InputLink {
    /// The input's id.
    from: Arc<str>,
    to: InputEnd,
    only: KindSet,
}

#[derive(Debug)]
enum InputEnd {
    Node(mpsc::Sender<Message>),
    Output(mpsc::Sender<Output>, Arc<str>),
}

impl Session {
    /// Starts a task for each node of `graph` on `runtime`.
    pub(crate) fn start(manifest: &Manifest, graph: Graph, output_queue: usize, runtime: &Handle) -> Self {
        let (output, outputs) = mpsc::channel(output_queue);
        let id = Arc::from(uuid::Uuid::new_v4().to_string());
        let shared = Arc::new(Shared::new(id, manifest.output_formats.clone(), output.clone()));
        let ports: Vec<Arc<str>> = manifest.outputs.iter().map(|port| Arc::clone(&port.id)).collect();
        let (inboxes, mut receivers): (Vec<_>, Vec<_>) =
            graph.nodes.iter().map(|node| mpsc::channel(node.spec.queue)).unzip();

        let inputs = manifest.inputs.iter().zip(&graph.inputs).map(|(port, targets)| Input {
            id: Arc::clone(&port.id),
            links: targets.iter().map(|target| input_link(&port.id, target, &inboxes, &output, &ports)).collect(),
        });
        let inputs = inputs.collect();

        let mut params = vec![Params::default(); graph.nodes.len()];
        for node in &graph.nodes {
            params[node.index] = node.params.clone();
        }
        let settings = Arc::new(Settings::new(graph.flow, params));
        let mut tasks = JoinSet::new();
        let mut aborts = Vec::with_capacity(graph.nodes.len());
        let mut handles = Vec::with_capacity(graph.nodes.len());
        let mut ready = Vec::with_capacity(graph.nodes.len());
        for (index, (node, inbox)) in graph.nodes.into_iter().zip(receivers.drain(..)).enumerate() {
            let stats = Arc::new(NodeStats::default());
            let links = node.targets.iter().map(|target| link(target, &inboxes, &ports)).collect();
            let (id, policy) = (Arc::clone(&node.spec.id), node.spec.on_error);
            handles.push(NodeHandle {
                id: Arc::clone(&id),
                type_name: node.node_type.name().into(),
                node_type: Arc::clone(&node.node_type),
                inbox: inboxes[index].clone(),
                stats: Arc::clone(&stats),
                index: node.index,
                is_source: node.fed_by == 0,
            });
            ready.push(NodeTask {
                accepted: node.node_type.accepted_formats(&node.params),
                node_type: node.node_type,
                index: node.index,
                settings: Arc::clone(&settings),
                instance: node.instance,
                timeout: node.spec.timeout,
                inbox,
                outlet: Outlet::new(id, policy, links, Arc::clone(&shared), stats),
                ends_to_come: node.fed_by.max(1),
                emitted: Vec::new(),
            });
        }
        for task in ready {
            aborts.push(tasks.spawn_on(task.run(), runtime));
        }
        shared.set_tasks(aborts);
        let control = SessionControl::new(handles, settings, &shared);
        let inner = Arc::new(Inner { shared, control, inputs, input_formats: manifest.input_formats.clone() });
        Self {
            sender: SessionSender { inner: Arc::clone(&inner) },
            receiver: SessionReceiver { inner, outputs, tasks, is_over: false },
        }
    }

    /// A name that no other session has.
    pub fn session_id(&self) -> &str {
        self.sender.session_id()
    }

    /// A handle that watches and steers the session.
    pub fn control(&self) -> SessionControl {
        self.sender.inner.control.clone()
    }

    /// The two ends, for one task that sends and another that receives.
    pub fn split(self) -> (SessionSender, SessionReceiver) {
        (self.sender, self.receiver)
    }

    /// As [`StreamSession::send_input`].
    ///
    /// # Errors
    ///
    /// As [`StreamSession::send_input`], and [`RuntimeError::OutputsUnread`] instead of a wait that only the caller
    /// itself could end, by receiving.
    pub async fn send_input(&mut self, input: TransportData) -> Result<(), RuntimeError> {
        let shared = &self.sender.inner.shared;
        let send = self.sender.send_input(input);
        tokio::pin!(send);
        loop {
            tokio::select! {
                biased;
                sent = &mut send => return sent,
                () = shared.output_stalled.notified() => {
                    if let Some(waiting) = shared.outputs_waiting() {
                        // The node that met the full queue still waits: the next attempt has to learn it too.
                        shared.output_stalled.notify_one();
                        return Err(RuntimeError::OutputsUnread { waiting });
                    }
                }
            }
        }
    }

    /// As [`SessionSender::finish`].
    ///
    /// # Errors
    ///
    /// As [`SessionSender::finish`].
    pub async fn finish(&mut self) -> Result<(), RuntimeError> {
        self.sender.finish().await
    }

    /// As [`StreamSession::recv_output`].
    ///
    /// # Errors
    ///
    /// As [`StreamSession::recv_output`].
    pub async fn recv_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        self.receiver.recv_output().await
    }

    /// As [`StreamSession::next_output`].
    ///
    /// # Errors
    ///
    /// As [`StreamSession::recv_output`].
    pub async fn next_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        self.receiver.next_output().await
    }

    /// As [`StreamSession::close`].
    pub async fn close(&mut self) {
        self.receiver.close().await;
    }

    /// Whether the session accepts input.
    pub fn is_active(&self) -> bool {
        self.sender.is_active()
    }
}

impl SessionSender {
    /// A name that no other session has.
    pub fn session_id(&self) -> &str {
        &self.inner.shared.id
    }

    /// A handle that watches and steers the session.
    pub fn control(&self) -> SessionControl {
        self.inner.control.clone()
    }

    /// Whether the session accepts input.
    pub fn is_active(&self) -> bool {
        self.inner.shared.phase() == Phase::Active
    }

    /// Hands one input to the pipeline, and waits while the pipeline is behind. Dropping the future before it answers
    /// means that the input was not accepted.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the session has ended, or the manifest does not take such an input.
    pub async fn send_input(&self, input: TransportData) -> Result<(), RuntimeError> {
        let inner = &*self.inner;
        inner.shared.check_active()?;
        inner.check_format(&input)?;
        let links = inner.links_for(&input)?;
        let kind = input.data.kind();
        let mut links = links.filter(|link| link.only.contains(kind));
        let Some(first) = links.next() else { return Ok(()) };
        let first = inner.reserve(first).await?;
        // Room is found for all before anything is sent, so that an input goes everywhere or nowhere.
        let mut others = Vec::new();
        for link in links {
            others.push(inner.reserve(link).await?);
        }
        inner.shared.check_active()?;
        let envelope = Envelope::from_input(input, inner.shared.in_flight.token());
        for room in others {
            room.send(envelope.clone());
        }
        first.send(envelope);
        Ok(())
    }

    /// Announces that no further input comes: nodes give away what they keep, and those with their own clock stop.
    /// [`StreamSession::recv_output`] answers `None` after the last output. It is not cancel-safe: a future that is
    /// dropped may have told some nodes and not others.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the session has ended.
    pub async fn finish(&self) -> Result<(), RuntimeError> {
        let inner = &*self.inner;
        inner.shared.check_active()?;
        let token = inner.shared.in_flight.token();
        if !inner.shared.advance(Phase::Finishing) {
            return inner.shared.check_active();
        }
        let origin = Origin { token: Some(token), ..Origin::default() };
        let fed = inner.inputs.iter().flat_map(|input| &input.links).filter_map(|link| match &link.to {
            InputEnd::Node(inbox) => Some(inbox),
            InputEnd::Output(..) => None,
        });
        let sources = inner.control.nodes().iter().filter(|node| node.is_source).map(|node| &node.inbox);
        for inbox in fed.chain(sources) {
            // A node that is gone has ended with the session.
            inbox.send(Message::Finish(origin.clone())).await.ok();
        }
        Ok(())
    }
}

impl SessionReceiver {
    /// A name that no other session has.
    pub fn session_id(&self) -> &str {
        &self.inner.shared.id
    }

    /// A handle that watches and steers the session.
    pub fn control(&self) -> SessionControl {
        self.inner.control.clone()
    }

    /// As [`StreamSession::recv_output`].
    ///
    /// # Errors
    ///
    /// As [`StreamSession::recv_output`].
    pub async fn recv_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        self.receive(false).await
    }

    /// As [`StreamSession::next_output`].
    ///
    /// # Errors
    ///
    /// As [`StreamSession::recv_output`].
    pub async fn next_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        self.receive(true).await
    }

    /// Whether the session has ended and its last error has been received: nothing more comes.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// As [`StreamSession::close`].
    pub async fn close(&mut self) {
        self.inner.shared.advance(Phase::Closed);
        self.is_over = true;
        self.outputs.close();
        self.tasks.shutdown().await;
        while self.outputs.try_recv().is_ok() {}
    }

    async fn receive(&mut self, waits_for_any: bool) -> Result<Option<TransportData>, RuntimeError> {
        while !self.is_over {
            let shared = &self.inner.shared;
            // Asked before the queue: what is no longer in flight has been queued.
            let is_idle = shared.in_flight.is_idle();
            let ends = is_idle && (!waits_for_any || shared.phase() == Phase::Finishing);
            if let Ok(output) = self.outputs.try_recv() {
                return self.take(output);
            }
            if ends {
                return Ok(None);
            }
            tokio::select! {
                biased;
                output = self.outputs.recv() => match output {
                    Some(output) => return self.take(output),
                    None => self.is_over = true,
                },
                () = shared.in_flight.became_idle() => {}
            }
        }
        Ok(None)
    }

    fn take(&mut self, output: Output) -> Result<Option<TransportData>, RuntimeError> {
        match output {
            Output::Data { envelope, port } => Ok(Some(envelope.into_output(port))),
            Output::Failed { error, is_fatal, .. } => {
                self.is_over |= is_fatal;
                Err(error)
            }
        }
    }
}

impl Drop for SessionReceiver {
    fn drop(&mut self) {
        // The tasks end with the set that holds them; senders must not take input for nobody.
        self.inner.shared.advance(Phase::Closed);
    }
}

#[async_trait]
impl StreamSession for Session {
    fn session_id(&self) -> &str {
        Session::session_id(self)
    }

    async fn send_input(&mut self, input: TransportData) -> Result<(), RuntimeError> {
        Session::send_input(self, input).await
    }

    async fn recv_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        Session::recv_output(self).await
    }

    async fn next_output(&mut self) -> Result<Option<TransportData>, RuntimeError> {
        Session::next_output(self).await
    }

    async fn close(&mut self) -> Result<(), RuntimeError> {
        Session::close(self).await;
        Ok(())
    }

    fn is_active(&self) -> bool {
        Session::is_active(self)
    }
}

impl Inner {
    fn check_format(&self, input: &TransportData) -> Result<(), RuntimeError> {
        if self.input_formats.is_empty() {
            return Ok(());
        }
        let found = MediaFormat::of(&input.data);
        if self.input_formats.iter().any(|format| format.includes(&found)) {
            return Ok(());
        }
        Err(RuntimeError::UnexpectedInput { declared: self.input_formats.clone(), found })
    }

    fn links_for(&self, input: &TransportData) -> Result<impl Iterator<Item = &InputLink>, RuntimeError> {
        let wanted = match &input.port {
            None => None,
            Some(port) => match self.inputs.iter().position(|known| known.id == *port) {
                Some(index) => Some(index),
                None => {
                    let known = self.inputs.iter().map(|input| input.id.to_string()).collect();
                    return Err(RuntimeError::UnknownInput { port: Arc::clone(port), known });
                }
            },
        };
        let chosen =
            self.inputs.iter().enumerate().filter(move |(index, _)| wanted.is_none_or(|wanted| wanted == *index));
        Ok(chosen.flat_map(|(_, input)| &input.links))
    }

    /// Waits for room at the far end of `link`.
    async fn reserve<'a>(&self, link: &'a InputLink) -> Result<Room<'a>, RuntimeError> {
        let room = match &link.to {
            InputEnd::Node(inbox) => inbox.reserve().await.map(|permit| Room::Node(permit, &link.from)).ok(),
            InputEnd::Output(outputs, port) => match outputs.try_reserve() {
                Ok(permit) => Some(Room::Output(permit, port)),
                Err(_) => {
                    self.shared.output_stalled.notify_one();
                    outputs.reserve().await.map(|permit| Room::Output(permit, port)).ok()
                }
            },
        };
        match room {
            Some(room) => Ok(room),
            None => {
                self.shared.check_active()?;
                Err(RuntimeError::SessionClosed { session: Arc::clone(&self.shared.id) })
            }
        }
    }
}

enum Room<'a> {
    Node(Permit<'a, Message>, &'a Arc<str>),
    Output(Permit<'a, Output>, &'a Arc<str>),
}

impl Room<'_> {
    fn send(self, envelope: Envelope) {
        match self {
            Self::Node(permit, from) => {
                permit.send(Message::Data(Envelope { from: Some(Arc::clone(from)), ..envelope }));
            }
            Self::Output(permit, port) => permit.send(Output::Data { envelope, port: Arc::clone(port) }),
        }
    }
}

fn link(target: &Target, inboxes: &[mpsc::Sender<Message>], ports: &[Arc<str>]) -> Link {
    let to = match target.to {
        Destination::Node(node) => LinkEnd::Node(inboxes[node].clone()),
        Destination::Output(output) => LinkEnd::Output(Arc::clone(&ports[output])),
    };
    Link { to, only: target.only }
}

fn input_link(
    from: &Arc<str>,
    target: &Target,
    inboxes: &[mpsc::Sender<Message>],
    output: &mpsc::Sender<Output>,
    ports: &[Arc<str>],
) -> InputLink {
    let to = match target.to {
        Destination::Node(node) => InputEnd::Node(inboxes[node].clone()),
        Destination::Output(port) => InputEnd::Output(output.clone(), Arc::clone(&ports[port])),
    };
    InputLink { from: Arc::clone(from), to, only: target.only }
}
