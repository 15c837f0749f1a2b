//! What several commands take.

use remotemedia_webrtc::PeerId;

/// The name of a participant or of a room.
pub(crate) fn name(text: &str) -> Result<String, String> {
    match PeerId::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("use 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'".to_owned()),
    }
}
