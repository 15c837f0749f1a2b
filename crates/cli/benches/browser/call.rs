use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    driver::{Browser, Kind, PATIENCE, call},
    figure::{Figure, Report},
    serve::{BOT, Serve},
};

/// How long the bitrates of both sides have to find their level.
const WARM_UP: Duration = Duration::from_secs(6);
const LASTS: Duration = Duration::from_secs(20);

/// One call, from a browser of its own to a bot of its own.
pub(crate) fn measure(report: &mut Report, case: &str, kind: Kind, codec: &str) {
    let serve = Serve::start();
    let browser = Browser::launch(kind);
    let url = format!("{}?join&source=test&name=page&width=1280&height=720&fps=30&codec={codec}", serve.page_url);
    let page = browser.open(&url, include_str!("page.js"));
    let eval = |js: &str| {
        let command = json!({"command": "eval", "page": page, "js": js});
        call(command, PATIENCE).unwrap_or_else(|error| panic!("{case}: {error}"))
    };
    eval(&format!("await bench.connected({BOT:?}); await bench.pause({})", WARM_UP.as_millis()));
    let (begin, cpu_before) = (Instant::now(), serve.cpu_time());
    let seen = eval(&format!("return bench.watch({BOT:?}, {})", LASTS.as_secs()));
    let cpu = serve.cpu_time().zip(cpu_before).map(|(after, before)| after - before);
    let lasted = begin.elapsed();
    browser.kill();
    let numbers =
        |name: &str| -> Vec<f64> { seen[name].as_array().unwrap().iter().filter_map(Value::as_f64).collect() };
    let gaps = numbers("gaps");
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    let size = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let rates = Figure::new("1/s", numbers("rates"));
    report.add_case("pictures_returned", case, rates.with("width", size("width")).with("height", size("height")));
    report.add_case("picture_gap_ms", case, Figure::new("ms", gaps).with("longest", longest));
    report.add_case("there_and_back_ms", case, Figure::new("ms", numbers("delays")));
    report.add_case("rtt_ms", case, Figure::new("ms", numbers("rtts")));
    if let Some(cpu) = cpu {
        let share = cpu.as_secs_f64() / lasted.as_secs_f64();
        report.add_case("bot_core_share", case, Figure::new("cores", vec![share]));
    }
}
