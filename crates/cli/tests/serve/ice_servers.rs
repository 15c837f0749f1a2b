//! A STUN server that cannot be reached is named by everybody who asked it.

use crate::process::{PATIENCE, Process, serve};

#[test]
fn a_stun_server_without_an_address_is_named_by_the_bot_and_by_the_caller() {
    // A name that nobody may have (RFC 6761, section 6.4).
    let server = "stun.invalid:3478".to_owned();
    let (bot, ready) = serve(&["--stun", &format!("stun:{server}")]);
    let signaling = ready["signaling_url"].as_str().unwrap();
    let call = ["call", "--signaling", signaling, "--peer-id", "caller", "--to", "remotemedia", "--duration", "60"];
    let call = Process::remotemedia("call", &[&call[..], &["--codec", "vp8", "--json"]].concat());
    for (process, peer) in [(&bot, "caller"), (&call, "remotemedia")] {
        let event = process.event("ice_server_failed", PATIENCE);
        assert_eq!((event["peer"].as_str(), event["server"].as_str()), (Some(peer), Some(&*server)), "{event}");
        assert!(event["text"].as_str().unwrap().contains("has no address"), "{event}");
    }
}
