use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    driver::{Browser, Kind, PATIENCE, call},
    figure::{Figure, Report},
    serve::{BOT, Caller, Serve},
};

/// How long both sides have to find their level. Chromium begins with small pictures, whatever its estimate of the network is, and
/// makes them larger once in a dozen seconds.
const WARM_UP: Duration = Duration::from_secs(30);
const LASTS: Duration = Duration::from_secs(20);

/// Pictures a second that are too few. 30 are sent.
const LEAST_RATE: f64 = 15.0;
/// Browsers make pictures smaller for a while when they take the machine for busy.
const LEAST_SHARE: f64 = 0.5;

/// Runs before the page's own scripts.
const SCRIPT: &str = concat!(include_str!("../../tests/browser/probe.js"), ";\n", include_str!("page.js"));

/// A call of 1280x720 between a browser of its own and a native side of its own.
struct Call {
    case: String,
    codec: &'static str,
    browser: Browser,
    page: Value,
    peer: &'static str,
}

/// A page calls the bot, which mirrors what it gets. Answers what was not as it should be.
pub(crate) fn page_calls_bot(report: &mut Report, case: &str, kind: Kind, codec: &'static str) -> Vec<String> {
    let serve = Serve::start();
    let call = Call::open(case, kind, codec, &serve, BOT, "pipeline=mirror");
    call.warm_up();
    let (begin, cpu_before) = (Instant::now(), serve.cpu_time());
    let seen = call.watch(report);
    let cpu = serve.cpu_time().zip(cpu_before).map(|(after, before)| after - before);
    let lasted = begin.elapsed();
    let numbers = |name: &str| numbers(&seen, name);
    report.add_case("there_and_back_ms", case, Figure::new("ms", numbers("delays")));
    report.add_case("rtt_ms", case, Figure::new("ms", numbers("rtts")));
    if let Some(cpu) = cpu {
        let share = cpu.as_secs_f64() / lasted.as_secs_f64();
        report.add_case("bot_core_share", case, Figure::new("cores", vec![share]));
    }
    let mut faults = call.faults(&seen);
    let found = call.eval(&format!("return bench.faults({BOT:?})"));
    faults.extend(found.as_array().unwrap().iter().map(|fault| format!("{case}: {}", fault.as_str().unwrap())));
    if numbers("delays").is_empty() {
        faults.push(format!("{case}: no picture came back with its number"));
    }
    call.browser.kill();
    faults
}

/// `remotemedia call` calls a page. Answers what was not as it should be.
pub(crate) fn call_calls_page(report: &mut Report, case: &str, kind: Kind, codec: &'static str) -> Vec<String> {
    let serve = Serve::start();
    let call = Call::open(case, kind, codec, &serve, Caller::NAME, "room=quiet");
    call.eval("while (!remotemedia.state().joined) await bench.pause(20)");
    let caller = Caller::start(&serve, "page", codec);
    call.warm_up();
    let seen = call.watch(report);
    let mut faults = call.faults(&seen);
    call.eval(&format!("remotemedia.hangUp({:?})", Caller::NAME));
    let theirs = &caller.finish()["peers"]["page"]["video"];
    let (got, frames) = (&theirs["codec"], theirs["frames"].as_f64().unwrap_or(0.0));
    if *got != json!(codec.to_uppercase()) || frames < LEAST_RATE * (WARM_UP + LASTS).as_secs_f64() {
        faults.push(format!("{case}: the caller decoded {frames} pictures, the last of them {got}"));
    }
    call.browser.kill();
    faults
}

impl Call {
    fn open(case: &str, kind: Kind, codec: &'static str, serve: &Serve, peer: &'static str, parameters: &str) -> Self {
        let browser = Browser::launch(kind);
        let size = "width=1280&height=720&fps=30";
        let url = format!("{}?join&source=test&name=page&{size}&codec={codec}&{parameters}", serve.page_url);
        let page = browser.open(&url, SCRIPT);
        Self { case: case.to_owned(), codec, browser, page, peer }
    }

    fn eval(&self, js: &str) -> Value {
        let command = json!({"command": "eval", "page": self.page, "js": js});
        call(command, PATIENCE).unwrap_or_else(|error| panic!("{}: {error}", self.case))
    }

    fn warm_up(&self) {
        self.eval(&format!("await bench.connected({:?}); await bench.pause({})", self.peer, WARM_UP.as_millis()));
    }

    /// Watches the pictures that the page gets, and reports how they come.
    fn watch(&self, report: &mut Report) -> Value {
        let seen = self.eval(&format!("return bench.watch({:?}, {})", self.peer, LASTS.as_secs()));
        let gaps = numbers(&seen, "gaps");
        let longest = gaps.iter().copied().fold(0.0, f64::max);
        let share = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
        let rates = Figure::new("1/s", numbers(&seen, "rates"));
        let rates = rates.with("seen_at_720p", share("seen_full")).with("sent_at_720p", share("sent_full"));
        report.add_case("pictures_seen", &self.case, rates);
        report.add_case("picture_gap_ms", &self.case, Figure::new("ms", gaps).with("longest", longest));
        seen
    }

    /// What the page saw and sent that is not in the codec, not 1280x720 for most of the time, or too little.
    fn faults(&self, seen: &Value) -> Vec<String> {
        let (case, codec) = (&self.case, self.codec.to_uppercase());
        let mut faults = Vec::new();
        if seen["codecs"] != json!([codec, codec]) {
            faults.push(format!("{case}: the codecs in and out are {} instead of {codec}", seen["codecs"]));
        }
        for name in ["seen_full", "sent_full"] {
            let share = seen[name].as_f64().unwrap_or(0.0);
            if share < LEAST_SHARE {
                faults.push(format!("{case}: {name} is {share}; the page sent {}", seen["limits"]));
            }
        }
        let rates = numbers(seen, "rates");
        let rate = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        if rate < LEAST_RATE {
            faults.push(format!("{case}: {rate:.1} pictures a second"));
        }
        faults
    }
}

fn numbers(seen: &Value, name: &str) -> Vec<f64> {
    seen[name].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}
