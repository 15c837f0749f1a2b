// What a peer connection sends and receives, one transceiver for each kind.

import { codecPreferences } from "./codecs.js";

const KINDS = ["audio", "video"];

/** The transceiver in use for a kind. */
export function transceiverOf(pc, kind) {
  const all = pc.getTransceivers().filter((one) => {
    const gone = one.stopped || one.direction === "stopped" || one.currentDirection === "stopped";
    return !gone && one.receiver.track.kind === kind;
  });
  return all.find((one) => one.sender.track) ?? all[0];
}

/**
 * Sends what there is to send. `missing` says what to do about kinds without a transceiver: "all" adds one for each,
 * to receive at least; "sent" adds one if there is something to send; "none" adds nothing.
 */
export function sendMedia(pc, media, missing, codec) {
  for (const kind of KINDS) {
    const one = transceiverOf(pc, kind);
    const track = media[kind];
    if (one) {
      fill(one, track, media.stream);
      if (missing === "none") preferCodec(one, codec);
    } else if (missing === "all" || (missing === "sent" && track)) {
      const init = { direction: track ? "sendrecv" : "recvonly", streams: [media.stream] };
      preferCodec(pc.addTransceiver(track ?? kind, init), codec);
    }
  }
}

function fill(transceiver, track, stream) {
  const { sender } = transceiver;
  if (sender.track !== (track ?? null)) {
    sender.replaceTrack(track ?? null).catch((error) => console.warn("changing a track:", error));
    if (track) sender.setStreams?.(stream);
  }
  const direction = track ? "sendrecv" : "recvonly";
  if (transceiver.direction !== direction) transceiver.direction = direction;
}

/** Puts the wanted codec first, or with `only` leaves no other. */
export function preferCodec(transceiver, { name, only }) {
  if (transceiver.receiver.track.kind !== "video") return;
  try {
    transceiver.setCodecPreferences?.(codecPreferences(name, only));
  } catch (error) {
    console.warn("codec preference:", error);
  }
}

/** Makes `stream` hold the track, and no older one of its kind. */
export function replaceInStream(stream, track) {
  for (const old of stream.getTracks()) {
    if (old.kind === track.kind && old !== track) stream.removeTrack(old);
  }
  stream.addTrack(track);
}

/** Whether something comes in on a track of that kind. */
export function receives(stream, kind) {
  return stream.getTracks().some((track) => track.kind === kind && track.readyState === "live" && !track.muted);
}
