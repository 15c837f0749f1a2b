use bytes::{BufMut, Bytes, BytesMut};

use crate::{MAX_MESSAGE_SIZE, Message};

/// Payload bytes of one chunk.
pub(super) const CHUNK: usize = 16 * 1024;
/// Bytes before the payload of a chunk.
pub(super) const HEADER: usize = 1;

const FIRST: u8 = 1;
const LAST: u8 = 2;
const TEXT: u8 = 4;

/// Cuts a message into chunks, each a binary SCTP message of one byte of flags and up to 16 KiB of payload. Between two
/// peers of this library only; others get plain messages.
pub(super) fn chunks(message: &Message) -> impl Iterator<Item = BytesMut> + '_ {
    let (bytes, kind): (&[u8], u8) = match message {
        Message::Text(text) => (text.as_bytes(), TEXT),
        Message::Binary(bytes) => (bytes, 0),
    };
    let count = bytes.len().div_ceil(CHUNK).max(1);
    (0..count).map(move |index| {
        let part = &bytes[index * CHUNK..bytes.len().min((index + 1) * CHUNK)];
        let first = if index == 0 { FIRST } else { 0 };
        let last = if index + 1 == count { LAST } else { 0 };
        let mut chunk = BytesMut::with_capacity(HEADER + part.len());
        chunk.put_u8(kind | first | last);
        chunk.put_slice(part);
        chunk
    })
}

/// Puts messages together from the chunks of one channel.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    parts: Option<(bool, BytesMut)>,
}

/// What is wrong with a chunk.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    #[error("a chunk without flags")]
    Empty,
    #[error("a chunk that continues no message")]
    Unexpected,
    #[error("a message of more than 16 MiB")]
    TooLarge,
    #[error("a text message that is not UTF-8")]
    NotUtf8,
}

impl Assembler {
    /// Takes a chunk; answers the message that it completes. After an error it waits for the next first chunk.
    pub(super) fn push(&mut self, mut chunk: BytesMut) -> Result<Option<Message>, FramingError> {
        if chunk.is_empty() {
            return Err(FramingError::Empty);
        }
        let flags = chunk.split_to(HEADER)[0];
        let text = flags & TEXT != 0;
        if flags & FIRST != 0 {
            // The common case, a message in one chunk, is not copied.
            self.parts = Some((text, chunk));
        } else {
            let Some((was_text, parts)) = &mut self.parts else { return Err(FramingError::Unexpected) };
            if *was_text != text {
                self.parts = None;
                return Err(FramingError::Unexpected);
            }
            if parts.len() + chunk.len() > MAX_MESSAGE_SIZE {
                self.parts = None;
                return Err(FramingError::TooLarge);
            }
            parts.extend_from_slice(&chunk);
        }
        if flags & LAST == 0 {
            return Ok(None);
        }
        match self.parts.take() {
            Some((true, bytes)) => text_message(bytes.into()).map(Some),
            Some((false, bytes)) => Ok(Some(Message::Binary(bytes.freeze()))),
            None => Ok(None),
        }
    }
}

/// A text message, if it is one.
pub(super) fn text_message(bytes: Bytes) -> Result<Message, FramingError> {
    String::from_utf8(bytes.into()).map(Message::Text).map_err(|_| FramingError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(message: &Message) -> Message {
        let mut assembler = Assembler::default();
        let mut done = None;
        for chunk in chunks(message) {
            assert!(done.is_none());
            assert!(chunk.len() <= CHUNK + HEADER);
            done = assembler.push(chunk).unwrap();
        }
        done.unwrap()
    }

    #[test]
    fn messages_of_all_sizes_come_out_as_they_went_in() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, MAX_MESSAGE_SIZE] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
            let message = Message::Binary(bytes.into());
            assert_eq!(round_trip(&message), message);
            let message = Message::Text("ä".repeat(size / 2));
            assert_eq!(round_trip(&message), message);
        }
    }

    #[test]
    fn wrong_chunks_are_refused_and_the_next_message_is_fine() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(BytesMut::new()), Err(FramingError::Empty));
        assert_eq!(assembler.push(BytesMut::from(&[0u8, 1][..])), Err(FramingError::Unexpected));
        assert_eq!(assembler.push(BytesMut::from(&[FIRST | LAST | TEXT, 0xff][..])), Err(FramingError::NotUtf8));
        assert_eq!(assembler.push(BytesMut::from(&[FIRST][..])), Ok(None));
        assert_eq!(assembler.push(BytesMut::from(&[LAST | TEXT][..])), Err(FramingError::Unexpected));
        let whole = assembler.push(BytesMut::from(&[FIRST | LAST, 9][..])).unwrap();
        assert_eq!(whole, Some(Message::Binary(Bytes::from_static(&[9]))));
    }

    #[test]
    fn an_endless_message_is_cut_off() {
        let mut assembler = Assembler::default();
        let mut chunk = vec![0u8; CHUNK + HEADER];
        chunk[0] = FIRST;
        assembler.push(BytesMut::from(&chunk[..])).unwrap();
        chunk[0] = 0;
        let error = (0..2_000).find_map(|_| assembler.push(BytesMut::from(&chunk[..])).err());
        assert_eq!(error, Some(FramingError::TooLarge));
    }
}
