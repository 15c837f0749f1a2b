use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remotemedia_media::{PeerId, StreamId, VideoFrame};
use remotemedia_runtime_core::{
    data::{DataKind, KindSet, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::kinds;

/// `RateLimit`: passes at most so many pieces of data a second; more is dropped.
///
/// Params: `max_per_second`, 0.01 to 10,000, required, for each kind of data of each node before it, and for each video
/// stream; `burst`, 1 to 10,000 (default 1), how many messages may pass at once after a pause; `kinds`, a list of the kinds
/// that are limited (default: video, json, text, binary and tensor), data of other kinds always passes; `report_ms`, 0 to
/// 3,600,000 ms (default 0), how often a JSON value `{"type": "rate_limit", "dropped": {"video": 12}, "total": 480}` says
/// what was dropped since the last; 0 never, and nothing is said when nothing was dropped.
///
/// Pictures are thinned evenly by their timestamps, by their arrival where they have none. Everything else has a token
/// bucket on the session's clock.
#[derive(Debug)]
pub struct RateLimit {
    config: RateLimitConfig,
    /// The most recently used last.
    flows: Vec<(FlowKey, Flow)>,
    /// When the first piece of data came.
    epoch: Option<Instant>,
    dropped: BTreeMap<&'static str, u64>,
    total: u64,
}

/// What a [`RateLimit`] passes.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitConfig {
    /// Pieces of data a second.
    pub max_per_second: f64,
    /// How many messages may pass at once.
    pub burst: u32,
    /// The kinds of data that are limited.
    pub kinds: KindSet,
    /// How often it is said what was dropped; `None` never.
    pub report_every: Option<Duration>,
}

impl RateLimitConfig {
    /// At most `max_per_second` of everything but audio and control messages, one at a time.
    pub fn new(max_per_second: f64) -> Self {
        use DataKind::{Binary, Json, Tensor, Text, Video};
        let kinds = KindSet::of(&[Video, Json, Text, Binary, Tensor]);
        Self { max_per_second, burst: 1, kinds, report_every: None }
    }
}

#[derive(Debug, PartialEq)]
struct FlowKey {
    kind: DataKind,
    from: Option<Arc<str>>,
    source: Option<PeerId>,
    stream_id: Option<StreamId>,
}

#[derive(Debug)]
enum Flow {
    /// The time from which the next picture passes.
    Pictures {
        due: Option<Duration>,
    },
    Messages {
        tokens: f64,
        filled: Duration,
    },
}

impl RateLimit {
    /// Most flows that are told apart; the least recently used gives way.
    pub const MAX_FLOWS: usize = 64;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("RateLimit", |params| Ok(Self::new(config(params)?)))
            .describe("Passes at most so many pieces of data a second.")
            .param(
                ParamSpec::number("max_per_second", 0.01..=10_000.0)
                    .required()
                    .doc("How many pass in a second, of each kind and stream."),
            )
            .param(ParamSpec::integer("burst", 1..=10_000).default_value(1).doc("How many messages may pass at once."))
            .param(kinds::spec("The kinds of data that are limited; others always pass."))
            .param(
                ParamSpec::integer("report_ms", 0..=3_600_000)
                    .unit("ms")
                    .default_value(0)
                    .doc("How often a JSON value says what was dropped; 0 never."),
            )
            .keeps_format()
    }

    /// Limits as `config` says.
    pub fn new(config: RateLimitConfig) -> Self {
        Self { config, flows: Vec::new(), epoch: None, dropped: BTreeMap::new(), total: 0 }
    }

    fn passes(&mut self, input: &RuntimeData, from: Option<&str>) -> bool {
        let now = Instant::now();
        let arrival = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        let interval = Duration::from_secs_f64(1.0 / self.config.max_per_second.max(0.01));
        let (rate, burst) = (self.config.max_per_second, f64::from(self.config.burst.max(1)));
        match self.flow(input, from, arrival) {
            Flow::Pictures { due } => {
                let time = input.as_video().and_then(|frame| frame.timestamp).unwrap_or(arrival);
                picture_passes(due, time, interval)
            }
            Flow::Messages { tokens, filled } => {
                *tokens = (*tokens + arrival.saturating_sub(*filled).as_secs_f64() * rate).min(burst);
                *filled = arrival;
                // Whole tokens are counted with the error of the sums that made them.
                let has_one = *tokens > 1.0 - 1e-6;
                if has_one {
                    *tokens = (*tokens - 1.0).max(0.0);
                }
                has_one
            }
        }
    }

    fn flow(&mut self, input: &RuntimeData, from: Option<&str>, arrival: Duration) -> &mut Flow {
        let kind = input.kind();
        let video: Option<&VideoFrame> = input.as_video().map(|frame| &**frame);
        let (source, stream_id) = video.map_or((None, None), |frame| (frame.source.as_ref(), frame.stream_id.as_ref()));
        let is_it = |key: &FlowKey| {
            key.kind == kind
                && key.from.as_deref() == from
                && key.source.as_ref() == source
                && key.stream_id.as_ref() == stream_id
        };
        let entry = match self.flows.iter().position(|(key, _)| is_it(key)) {
            Some(index) => self.flows.remove(index),
            None => {
                if self.flows.len() >= Self::MAX_FLOWS {
                    self.flows.remove(0);
                }
                let flow = match kind {
                    DataKind::Video => Flow::Pictures { due: None },
                    _ => Flow::Messages { tokens: self.config.burst.into(), filled: arrival },
                };
                let (source, stream_id) = (source.cloned(), stream_id.cloned());
                (FlowKey { kind, from: from.map(Arc::from), source, stream_id }, flow)
            }
        };
        self.flows.push(entry);
        let last = self.flows.len() - 1;
        &mut self.flows[last].1
    }

    fn report(&mut self) -> Option<Value> {
        if self.dropped.is_empty() {
            return None;
        }
        let dropped: Map<String, Value> = std::mem::take(&mut self.dropped)
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), count.into()))
            .collect();
        Some(json!({ "type": "rate_limit", "dropped": dropped, "total": self.total }))
    }
}

/// Whether a picture of `time` passes: the first at or after each of the evenly spaced times that are due.
fn picture_passes(due: &mut Option<Duration>, time: Duration, interval: Duration) -> bool {
    // Timestamps are rounded, and so are the times that are due.
    let tolerance = interval / 100;
    let Some(expected) = *due else {
        *due = Some(time + interval);
        return true;
    };
    // A timeline that began anew is nothing to wait for.
    let is_reset = expected > time + 2 * interval && expected > time + Duration::from_secs(1);
    if !is_reset && time + tolerance < expected {
        return false;
    }
    // After a pause the grid begins anew, so that there is no burst.
    *due = Some(if is_reset || expected + interval < time { time + interval } else { expected + interval });
    true
}

impl Node for RateLimit {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        if !self.config.kinds.contains(input.kind()) || self.passes(&input, out.from()) {
            out.emit(input);
        } else {
            out.dropped(1);
            self.total += 1;
            *self.dropped.entry(input.kind().name()).or_default() += 1;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        if self.config.report_every.is_some() {
            self.tick(out)?;
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        self.config.report_every
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(report) = self.report() {
            out.emit(report);
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(config) = config(params) else { return false };
        self.config = config;
        for (_, flow) in &mut self.flows {
            if let Flow::Pictures { due } = flow {
                *due = None;
            }
        }
        true
    }
}

fn config(params: &Params) -> Result<RateLimitConfig, ParamProblem> {
    let default = RateLimitConfig::new(params.number("max_per_second").unwrap_or(1.0));
    let integer = |name: &str| params.integer(name).and_then(|value| u32::try_from(value).ok());
    let report_ms = integer("report_ms").filter(|value| *value > 0);
    Ok(RateLimitConfig {
        burst: integer("burst").unwrap_or(default.burst),
        kinds: kinds::parse(params, default.kinds)?,
        report_every: report_ms.map(|value| Duration::from_millis(value.into())),
        ..default
    })
}
