//! Whatever a manifest's text is, it is read or refused: no panic, no endless work.

use std::{panic::AssertUnwindSafe, thread};

use proptest::prelude::*;
use remotemedia_runtime_core::{
    manifest::{Manifest, Place},
    runner::PipelineRunner,
};

/// How many mutated manifests one run tries.
const MUTATIONS: u64 = 1_000_000;

const SEEDS: [&str; 4] = [
    r#"pipeline:
  manifest:
    version: "0.1"
    inputs:
      - { type: audio, sample_rate: 48000, channels: 1 }
    outputs: [{ type: audio }]
  nodes:
    - id: "louder"
      type: "Gain"
      executor: "native"
      params: { db: 6 }
      on_error: skip
      timeout_ms: 100
    - { id: echo, type: Echo, queue: 4 }
  graph:
    - { from: input, to: louder, only: [audio, text] }
    - { from: louder, to: echo }
    - { from: echo, to: output }
"#,
    r#"{"version":"v1","metadata":{"name":"n"},"nodes":[{"id":"in","node_type":"Input"},{"id":"a","node_type":"VideoFlip",
"params":{"direction":"both"},"is_streaming":true},{"id":"b","node_type":"PassThrough","is_output_node":true}],
"connections":[{"from":"in","to":"a"},{"from":"a","to":"b"}]}"#,
    "nodes: &n\n  - &a { id: a, type: Echo, params: {} }\nconnections:\n  - { from: input, to: a }\n  - { <<: { to: output }, from: a }\n",
    "nodes: [{ id: a, type: Echo }, { id: b, type: Echo }, { id: c, type: Gain }]\nconnections: [{ from: a, to: b }, { from: b, to: c }]\n",
];

const SCRAPS: [&str; 28] = [
    "",
    " ",
    "\n",
    "\n  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&x ",
    "*x",
    "<<: ",
    "|",
    ">-",
    "#",
    "---\n",
    "!!binary ",
    "null",
    ".nan",
    "1e999",
    "-0",
    "\u{0}",
    "\u{feff}",
    "é😀",
    "input",
];

/// A small, fast generator: the same seed gives the same manifests everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn mutate(random: &mut Random) -> String {
    let mut text: Vec<char> = SEEDS[random.below(SEEDS.len())].chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(12)).min(text.len());
        match random.below(5) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, SCRAPS[random.below(SCRAPS.len())].chars())),
            2 => drop(text.splice(at..end, SCRAPS[random.below(SCRAPS.len())].chars())),
            3 => {
                let copy: Vec<char> = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, copy);
            }
            _ if at < text.len() => {
                let other = random.below(text.len());
                text.swap(at, other);
            }
            _ => {}
        }
    }
    text.into_iter().collect()
}

/// Whether there is such a place in `text`, its end included. A carriage return alone ends a line in YAML, not in JSON.
fn is_in(text: &str, place: Place) -> bool {
    let (line, column) = (place.line as usize, place.column as usize);
    let reaches = |lines: &str| {
        let length = line.checked_sub(1).and_then(|before| lines.split('\n').nth(before)).map(|l| l.chars().count());
        length.is_some_and(|length| (1..=length + 1).contains(&column))
    };
    reaches(text) || reaches(&text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Reads `text` both ways. Every refusal must say something, and where in the text.
fn read(runner: &PipelineRunner, text: &str) -> bool {
    let mut accepted = false;
    for parse in [Manifest::from_yaml, Manifest::from_json] {
        match parse(text).and_then(|manifest| runner.check(&manifest)) {
            Ok(()) => accepted = true,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let place = error.place.unwrap_or_else(|| panic!("no place: {error}\n{text:?}"));
                assert!(is_in(text, place), "no such place: {error}\n{text:?}");
            }
        }
    }
    accepted
}

/// Reads those of the mutated manifests whose seed leaves `part` when divided by `parts`. Answers how many are still good.
fn read_mutations(part: u64, parts: u64) -> u64 {
    let runner = PipelineRunner::new();
    let mut accepted = 0;
    for seed in (1..=MUTATIONS).filter(|seed| seed % parts == part) {
        let text = mutate(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| read(&runner, &text)));
        match result {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(_) => panic!("seed {seed}:\n{text}"),
        }
    }
    accepted
}

#[test]
fn a_million_mutated_manifests_are_read_or_refused_with_a_place() {
    let parts = thread::available_parallelism().map_or(1, usize::from) as u64;
    let accepted: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..parts).map(|part| scope.spawn(move || read_mutations(part, parts))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    println!("{accepted} of {MUTATIONS} mutated manifests were still good");
    assert!(accepted > 0 && accepted < MUTATIONS, "{accepted} of {MUTATIONS}: the mutations test nothing");
}

#[test]
fn the_seeds_themselves_are_good() {
    for seed in SEEDS {
        PipelineRunner::new().check(&Manifest::from_yaml(seed).unwrap()).unwrap();
    }
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let deep = "[".repeat(100_000);
    let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long_id = format!("nodes: [{{ id: {}, type: Echo }}]", "x".repeat(500_000));
    let many: String = (0..5_000).map(|index| format!("  - {{ id: n{index}, type: Echo }}\n")).collect();
    let many = format!("nodes:\n{many}");
    for text in [&laughs, &deep, &deep_json, &long_id, &many] {
        let error = Manifest::from_yaml(text).unwrap_err();
        assert!(error.to_string().len() < 1_000, "{}", &error.to_string()[..1_000]);
        assert!(Manifest::from_json(text).is_err());
    }
}

#[test]
fn the_largest_pipeline_is_checked_at_once() {
    let nodes: String = (0..1_024).map(|index| format!("  - {{ id: n{index}, type: Echo }}\n")).collect();
    let edges: String = (0..1_023)
        .flat_map(|from| (1..=8).map(move |step| (from, from + step)))
        .filter(|(_, to)| *to < 1_024)
        .map(|(from, to)| format!("  - {{ from: n{from}, to: n{to} }}\n"))
        .collect();
    let manifest = Manifest::from_yaml(&format!("nodes:\n{nodes}connections:\n{edges}")).unwrap();
    PipelineRunner::new().check(&manifest).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        read(&PipelineRunner::new(), &text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&PipelineRunner::new(), &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_graph_is_read_or_refused(
        nodes in proptest::collection::vec("[a-e]|input|output", 0..6),
        edges in proptest::collection::vec(("[a-f]|input|output", "[a-f]|input|output"), 0..10),
    ) {
        let nodes: Vec<_> = nodes.iter().map(|id| serde_json::json!({ "id": id, "type": "Echo" })).collect();
        let edges: Vec<_> = edges.iter().map(|(from, to)| serde_json::json!({ "from": from, "to": to })).collect();
        let json = serde_json::json!({ "nodes": nodes, "connections": edges }).to_string();
        read(&PipelineRunner::new(), &json);
    }
}
