use super::support::{frames, pictures, speech};
use remotemedia_nodes::files::{Recorder, RecorderSettings};
use remotemedia_runtime_core::node::process_once;
use std::time::{Duration, Instant};
#[test]
fn cost() {
    let folder = tempfile::tempdir().unwrap();
    for (name, n) in [("a.wav", 0), ("a.opus", 0), ("a.ivf", 1), ("a.y4m", 1), ("a.webm", 1)] {
        let path = folder.path().join(name);
        let text = path.to_str().unwrap();
        let s = if n == 0 { RecorderSettings::audio(text) } else { RecorderSettings::video(text) };
        let mut r = Recorder::new(s.unwrap());
        if n == 0 {
            let f = frames(&speech(48_000, 10.0), 48_000, 1, Duration::ZERO);
            let c = f.len();
            let t = Instant::now();
            for x in f {
                process_once(&mut r, x).unwrap();
            }
            println!("COST {name} {:?} a frame", t.elapsed() / c as u32);
        } else {
            let f = pictures(50, Duration::ZERO);
            let t = Instant::now();
            for x in f {
                process_once(&mut r, x).unwrap();
            }
            println!("COST {name} {:?} a picture", t.elapsed() / 50);
        }
    }
}
