//! The program under test: `remotemedia serve` and `remotemedia call`.

#[path = "../support/process.rs"]
mod process;

use std::{collections::HashSet, fs, time::Duration};

use serde_json::Value;

pub(crate) use self::process::example;
use self::process::{Process, mirror, serve, serve_at};
use crate::page::Page;

/// The bot's name.
pub(crate) const BOT: &str = "remotemedia";

/// A server of its own for one test, with the pipelines `mirror` and `echo`.
pub(crate) struct Serve {
    process: Process,
    pub(crate) signaling_url: String,
    pub(crate) page_url: String,
}

impl Serve {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(further: &[&str]) -> Self {
        let mirror = mirror();
        Self::of(serve(&[&["--manifest", mirror.to_str().unwrap()], further].concat()))
    }

    /// The same as `start` at an address that another one had.
    pub(crate) fn start_at(address: &str) -> Self {
        Self::of(serve_at(address, &["--manifest", mirror().to_str().unwrap()]))
    }

    fn of((process, ready): (Process, Value)) -> Self {
        let url = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { signaling_url: url("signaling_url"), page_url: url("page_url"), process }
    }

    /// Kills it, so that nobody is told, and answers the address that it had.
    pub(crate) fn kill(self) -> String {
        self.page_url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// Starts `remotemedia call`, under the name `caller`, to the peer `to`.
    pub(crate) fn call(&self, to: &str, arguments: &[&str]) -> Call {
        let own = ["call", "--signaling", &self.signaling_url, "--peer-id", Call::NAME, "--to", to, "--json"];
        Call(Process::remotemedia("call", &[&own, arguments].concat()))
    }

    /// Starts `remotemedia call`, under the name `caller`, which waits to be called.
    pub(crate) fn await_call(&self, arguments: &[&str]) -> Call {
        let own = ["call", "--signaling", &self.signaling_url, "--peer-id", Call::NAME, "--json"];
        Call(Process::remotemedia("call", &[&own, arguments].concat()))
    }

    /// How the bot's connection to a page does, as it says itself.
    pub(crate) fn stats(&self, page: &Page) -> Value {
        page.eval(&format!("return (await fetch('/api/peers/{}/stats')).json()", page.name))
    }

    /// What it holds; `None` where the system does not tell as Linux does.
    pub(crate) fn resources(&self) -> Option<Resources> {
        let process = format!("/proc/{}", self.process.child.id());
        let sockets: String =
            ["udp", "udp6"].iter().filter_map(|of| fs::read_to_string(format!("/proc/net/{of}")).ok()).collect();
        // The tenth column.
        let sockets: HashSet<&str> = sockets.lines().filter_map(|line| line.split_whitespace().nth(9)).collect();
        let is_udp = |descriptor: &fs::DirEntry| {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']'));
            inode.is_some_and(|inode| sockets.contains(inode))
        };
        let descriptors = fs::read_dir(format!("{process}/fd")).ok()?.flatten();
        let threads = fs::read_dir(format!("{process}/task")).ok()?.count();
        let (mut all, mut udp) = (0, 0);
        for descriptor in descriptors {
            all += 1;
            udp += usize::from(is_udp(&descriptor));
        }
        Some(Resources { descriptors: all, udp_sockets: udp, threads })
    }

    /// What happened so far that has not been looked at.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.process.lines.try_iter().collect()
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    /// Of those, the ones that media goes through: pages hold others open for a while for what they fetch.
    pub(crate) udp_sockets: usize,
    pub(crate) threads: usize,
}

/// A native participant.
pub(crate) struct Call(Process);

impl Call {
    pub(crate) const NAME: &'static str = "caller";

    /// Waits for an event of that name.
    pub(crate) fn event(&self, name: &str, within: Duration) -> Value {
        self.0.event(name, within)
    }

    /// Waits for its end and answers what it printed, a JSON object a line; the last has the figures.
    pub(crate) fn finish(self, within: Duration) -> Vec<Value> {
        self.0.finish(within)
    }
}
