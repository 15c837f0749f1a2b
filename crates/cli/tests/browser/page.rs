//! The page in a browser, as a test sees it.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    driver::{Browser, PATIENCE, call},
    picture::{Colour, Quarters},
    serve::{BOT, Serve},
};

/// An open page; closed at the end, and its console is shown if the test failed.
pub(crate) struct Page {
    handle: Value,
    pub(crate) name: String,
}

/// A tone that came from a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tone {
    pub(crate) hz: f64,
    pub(crate) amplitude: f64,
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} Hz with amplitude {:.2}", self.hz, self.amplitude)
    }
}

/// What a watch saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) pictures: u64,
    pub(crate) longest_gap: Duration,
    /// About when the longest gap ended, from the beginning of the watch.
    pub(crate) at: Duration,
    pub(crate) lasted: Duration,
}

impl Page {
    /// Opens the page, which joins as `name` with the test picture; `parameters` are added to its address.
    pub(crate) fn join(browser: &Browser, serve: &Serve, name: &str, parameters: &str) -> Self {
        let url = format!("{}?join&source=test&name={name}&{parameters}", serve.page_url);
        Self::open(browser, &url, name, "")
    }

    /// Opens an address under which the page joins as `name`; `script` runs before the page's own.
    pub(crate) fn open(browser: &Browser, url: &str, name: &str, script: &str) -> Self {
        let script = format!("{script};\n{}", include_str!("probe.js"));
        Self { handle: browser.open(url, &script), name: name.to_owned() }
    }

    /// Waits until a peer is connected with messages open, and answers how long that took.
    pub(crate) fn connected_to(&self, peer: &str, within: Duration) -> Duration {
        self.wait_until(&format!("{} && {}", is_connected(peer), channel_is_open(peer)), within)
    }

    /// Runs the body of an async function in the page and answers what it returns.
    pub(crate) fn eval(&self, js: &str) -> Value {
        self.run(js, PATIENCE)
    }

    /// Waits until a JavaScript expression is true, looking 50 times a second, and answers how long that took.
    pub(crate) fn wait_until(&self, condition: &str, within: Duration) -> Duration {
        let js = format!("return probe.until(async () => {condition}, {})", within.as_millis());
        let millis = self.run(&js, within + PATIENCE).as_f64().unwrap();
        Duration::from_secs_f64(millis / 1000.0)
    }

    /// Lets the page run for a while.
    pub(crate) fn run_for(&self, time: Duration) {
        self.run(&format!("await probe.pause({})", time.as_millis()), time + PATIENCE);
    }

    /// Clicks, as a person does, on what a CSS selector finds.
    pub(crate) fn click(&self, selector: &str) {
        self.carry_out(json!({"command": "click", "selector": selector}));
    }

    /// Types a text, as a person does, into what has the focus.
    pub(crate) fn type_text(&self, text: &str) {
        self.carry_out(json!({"command": "type", "text": text}));
    }

    /// Presses a key, such as "Enter" or "Tab".
    pub(crate) fn press(&self, key: &str) {
        self.carry_out(json!({"command": "press", "key": key}));
    }

    /// Makes the window so large.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.carry_out(json!({"command": "viewport", "width": width, "height": height}));
    }

    /// Has the machine prefer "light" or "dark" colours. Chromium only.
    pub(crate) fn prefer_colours(&self, scheme: &str) {
        self.carry_out(json!({"command": "colours", "scheme": scheme}));
    }

    pub(crate) fn reload(&self) {
        call(json!({"command": "reload", "page": self.handle}), PATIENCE).unwrap();
    }

    /// Kills the process that runs it, and not the rest of the browser. Chromium only.
    pub(crate) fn crash(&self) {
        self.carry_out(json!({"command": "crash_page"}));
    }

    /// The page's statistics of a connection.
    pub(crate) fn stats(&self, peer: &str) -> Value {
        self.eval(&format!("return remotemedia.stats({peer:?})"))
    }

    /// Pictures of a peer that are decoded a second, measured over `time`.
    pub(crate) fn frame_rate(&self, peer: &str, time: Duration) -> f64 {
        let js = format!("return probe.rate({peer:?}, {})", time.as_millis());
        self.run(&js, time + PATIENCE).as_f64().unwrap()
    }

    /// Waits until a peer's tile shows these colours.
    pub(crate) fn shows(&self, peer: &str, expected: Quarters, within: Duration) {
        let asked = Instant::now();
        loop {
            let seen = self.quarters(peer);
            if seen == expected {
                return;
            }
            assert!(asked.elapsed() < within, "{} shows {seen:?} of {peer} instead of {expected:?}", self.name);
            self.run_for(Duration::from_millis(50));
        }
    }

    /// The colours in a peer's tile.
    pub(crate) fn quarters(&self, peer: &str) -> Quarters {
        let js = format!("await probe.until(() => probe.quarters({peer:?}), 5000); return probe.quarters({peer:?})");
        let colours: Vec<[u8; 3]> = serde_json::from_value(self.eval(&js)).unwrap();
        [0, 1, 2, 3].map(|quarter| Colour::of(colours[quarter]))
    }

    /// Waits until a tone of `hz` comes from a peer, and answers it.
    pub(crate) fn hears(&self, peer: &str, hz: f64, within: Duration) -> Tone {
        let heard = self.run(&format!("return probe.hear({peer:?}, {hz}, {})", within.as_millis()), within + PATIENCE);
        let tone = Tone { hz: number(&heard["hz"]), amplitude: number(&heard["amplitude"]) };
        assert!((tone.hz - hz).abs() <= 5.0, "{} hears {tone} from {peer} instead of {hz} Hz", self.name);
        tone
    }

    /// Sends a text and waits until it comes back; answers how long that took.
    pub(crate) fn echoes_text(&self, text: &str, within: Duration) -> Duration {
        self.echoes(&format!("const sent = {text:?}; const same = (m) => m.text === sent;"), within)
    }

    /// Sends random bytes and waits until the same come back; answers how long that took.
    pub(crate) fn echoes_binary(&self, bytes: usize, within: Duration) -> Duration {
        let prepare = format!(
            "const sent = crypto.getRandomValues(new Uint8Array({bytes}));
             const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', sent));
             const hash = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
             const same = (m) => m.bytes === sent.length && m.hash === hash;"
        );
        self.echoes(&prepare, within)
    }

    /// `prepare` makes `sent` and a function `same` that knows it among the messages.
    fn echoes(&self, prepare: &str, within: Duration) -> Duration {
        let js = format!(
            "{prepare}
             const begin = performance.now();
             remotemedia.send({BOT:?}, sent);
             await probe.until(() => remotemedia.messages().some((m) => m.from === {BOT:?} && same(m)), {});
             return performance.now() - begin;",
            within.as_millis()
        );
        Duration::from_secs_f64(number(&self.run(&js, within + PATIENCE)) / 1000.0)
    }

    /// Begins to watch when a peer's pictures are decoded.
    pub(crate) fn watch(&self, peer: &str) {
        self.eval(&format!("probe.watch({peer:?})"));
    }

    /// What the watch saw so far.
    pub(crate) fn watched(&self, peer: &str) -> Watched {
        let seen = self.eval(&format!("return probe.watched({peer:?})"));
        let millis = |name: &str| Duration::from_secs_f64(number(&seen[name]) / 1000.0);
        Watched {
            pictures: seen["pictures"].as_u64().unwrap(),
            longest_gap: millis("longest"),
            at: millis("at"),
            lasted: Duration::from_secs_f64(number(&seen["seconds"])),
        }
    }

    fn carry_out(&self, mut command: Value) {
        command["page"] = self.handle.clone();
        call(command, PATIENCE).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn run(&self, js: &str, timeout: Duration) -> Value {
        let command = json!({"command": "eval", "page": self.handle, "js": js});
        call(command, timeout).unwrap_or_else(|error| panic!("{}: {error}\n  in {js}", self.name))
    }

    /// Everything that helps to understand a failure.
    fn describe(&self) -> String {
        let page = &self.handle;
        let js = "const { state, peers, problems, messages } = remotemedia;
             const stats = {};
             for (const { id } of peers()) stats[id] = await remotemedia.stats(id).catch(String);
             return { state: state(), peers: peers(), problems: problems(), messages: messages().slice(-5), stats };";
        let soon = Duration::from_secs(5);
        let state = call(json!({"command": "eval", "page": page, "js": js}), soon).unwrap_or_else(Value::String);
        let console = call(json!({"command": "console", "page": page}), soon).unwrap_or_else(Value::String);
        format!("{state:#}\n{console:#}")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- page {}:\n{}", self.name, self.describe());
        }
        // It may have gone with its browser.
        call(json!({"command": "close_page", "page": self.handle}), PATIENCE).ok();
    }
}

/// A condition: the page is connected to a peer.
pub(crate) fn is_connected(peer: &str) -> String {
    format!("remotemedia.peers().some((p) => p.id === {peer:?} && p.connection === 'connected')")
}

/// A condition: messages can be sent to a peer.
pub(crate) fn channel_is_open(peer: &str) -> String {
    format!("remotemedia.peers().some((p) => p.id === {peer:?} && p.channel === 'open')")
}

/// A condition: more than so many pictures of a peer have been decoded.
pub(crate) fn has_decoded(peer: &str, more_than: u64) -> String {
    format!("(await remotemedia.stats({peer:?})).in.video.frames_decoded > {more_than}")
}

/// A condition: the pictures that come from a peer are as large as test pictures are. Chromium begins with less, and asks for
/// more step by step.
pub(crate) fn is_full_size(peer: &str) -> String {
    let video = format!("document.querySelector('article[data-peer={peer:?}] video')");
    format!("{video}.videoWidth === 640 && {video}.videoHeight === 360")
}

/// A number that must be there.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
