// One RTCPeerConnection to one peer: descriptions and candidates in order, media both ways, and finding back.

import { alive } from "./alive.js";
import { belongs, EarlyCandidates, fingerprint } from "./candidates.js";
import { codecsIn, offersVideo, videoRefused } from "./codecs.js";
import { randomId, sleep } from "./dom.js";
import { MessageChannel } from "./messages.js";
import { preferCodec, receives, replaceInStream, sendMedia, transceiverOf } from "./transceivers.js";

const ANSWER_TIMEOUT = 8_000;
const CONNECT_TIMEOUT = 15_000;
const RESTART_TIMEOUT = 12_000;
/** Packets may stop for a moment without anything being wrong. */
const PATIENCE = 3_000;

/**
 * A call to one peer.
 *
 * Every step of the negotiation runs alone, one after the other, so that "an offer of ours is under way" is simply the
 * signaling state. This is perfect negotiation without its `makingOffer` flag.
 *
 * Events: `change`, `message` (detail: string or Uint8Array), `failed`, `no-video` (no codec in common), `ended`
 * (detail: why).
 */
export class Call extends EventTarget {
  #queue = Promise.resolve();
  #answerTimer = 0;
  #watch = 0;
  #restarts = 0;
  #resent = 0;
  #ignored = null;
  #strict = false;
  /** The peer takes none of our video codecs, or we none of its: offering video again would change nothing. */
  #noVideo = false;
  #peerCodecs = new Set();

  /**
   * @param {object} options
   * @param {string} options.selfId
   * @param {string} options.peerId
   * @param {(method: string, params: object) => Promise<object>} options.send a request to this peer
   * @param {{audio: ?MediaStreamTrack, video: ?MediaStreamTrack, stream: MediaStream}} options.media what to send, live
   * @param {() => object[]} options.iceServers
   * @param {() => string} options.codec
   */
  constructor(options) {
    super();
    Object.assign(this, options);
    // Ids are ASCII, so comparing code units compares bytes.
    this.polite = this.selfId < this.peerId;
    this.early = options.early ?? new EarlyCandidates();
    this.messages = new MessageChannel((data) => this.dispatchEvent(new CustomEvent("message", { detail: data })));
    this.messages.onchange = () => this.#changed();
    this.remote = new MediaStream();
    this.pc = null;
    this.closed = false;
    this.failed = false;
    this.startedAt = performance.now();
    this.connectMs = null;
    this.requestId = null;
    this.ownRequestId = null;
  }

  get connection() {
    return this.failed ? "failed" : (this.pc?.connectionState ?? "new");
  }
  get hasVideo() {
    return receives(this.remote, "video");
  }
  get hasAudio() {
    return receives(this.remote, "audio");
  }

  /** Calls the peer. */
  start() {
    this.#build();
    this.#sendMedia("all");
    this.messages.adopt(this.pc.createDataChannel("remotemedia", { ordered: true }));
    this.#expectConnection(CONNECT_TIMEOUT);
  }

  /** What the peer said about this call. */
  receive(method, params) {
    if (method === "peer.offer") return this.#run(() => this.#onOffer(params));
    if (method === "peer.answer") return this.#run(() => this.#onAnswer(params));
    if (method === "peer.ice_candidate") return this.#run(() => this.#onCandidate(params));
  }

  /** Whether a request id is one of this call. */
  owns(requestId) {
    return requestId === this.requestId || requestId === this.ownRequestId;
  }

  /** What is sent changed: camera on, off, another one. */
  updateMedia() {
    return this.#run(() => this.pc && this.#sendMedia("sent"));
  }

  /** The wanted codec changed. */
  updateCodec() {
    return this.#run(async () => {
      const video = this.pc && transceiverOf(this.pc, "video");
      if (!video) return this.#offerVideoAgain();
      // A sender keeps a codec that is still allowed, so a change is asked for by allowing no other.
      this.#strict = this.#peerCodecs.has(this.codec());
      preferCodec(video, this.#codec);
      await this.#offer();
    });
  }

  /** Another codec may be one that the peer has. */
  #offerVideoAgain() {
    this.#noVideo = false;
    this.#sendMedia("sent");
  }

  /** Looks for a new network path. */
  restartIce() {
    if (this.pc && this.pc.signalingState !== "closed") this.pc.restartIce();
  }

  /** Signaling is back: what was under way is said again. */
  resume() {
    return this.#run(() => {
      if (this.pc?.signalingState === "have-local-offer") this.#sendOffer();
      else if (this.pc && !["connected", "new"].includes(this.connection)) this.restartIce();
    });
  }

  /** Whether anything arrives from the peer; see alive.js. */
  alive = () => alive(this);

  /** Ends the call. */
  close(reason = "ended") {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#answerTimer);
    clearTimeout(this.#watch);
    this.#discard();
    this.dispatchEvent(new CustomEvent("ended", { detail: reason }));
  }

  // Negotiation

  #run(task) {
    this.#queue = this.#queue
      .then(() => (this.closed ? undefined : task()))
      .catch((error) => {
        console.warn(`negotiating with ${this.peerId}:`, error);
        // The peer may have gone on without us: the watch restarts or gives up.
        if (!this.closed && this.connection !== "connected") this.#expectConnection(PATIENCE);
      });
    return this.#queue;
  }

  async #offer() {
    const pc = this.pc;
    // After the answer the browser asks again if anything is left to negotiate.
    if (!pc || pc.signalingState !== "stable") return;
    const offer = await pc.createOffer();
    if (pc !== this.pc) return;
    this.ownRequestId ??= randomId();
    this.requestId = this.ownRequestId;
    await pc.setLocalDescription(offer);
    this.#resent = 0;
    this.#sendOffer();
  }

  #sendOffer() {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => this.#run(() => this.#noAnswer()), ANSWER_TIMEOUT);
    // Not what createOffer made: by now there may be candidates in it.
    this.#send("peer.offer", this.#description());
  }

  #description() {
    return { sdp: this.pc.localDescription.sdp, can_trickle_ice_candidates: true, request_id: this.requestId };
  }

  async #noAnswer() {
    if (this.pc?.signalingState !== "have-local-offer") return;
    if (this.#ignored) return this.#accept(this.#ignored, true);
    if (++this.#resent <= 2) this.#sendOffer();
  }

  async #onOffer(params) {
    // Every offer names a certificate. One that does not must not cost the call that stands.
    if (!fingerprint(params.sdp)) return;
    const colliding = this.pc?.signalingState === "have-local-offer";
    if (colliding && !this.polite) {
      // Its candidates wait among the early ones, and are forgotten with them.
      this.#ignored = params;
      return;
    }
    await this.#accept(params, colliding);
  }

  async #accept(params, colliding) {
    clearTimeout(this.#answerTimer);
    this.#ignored = null;
    const known = this.pc?.remoteDescription && fingerprint(this.pc.remoteDescription.sdp);
    if (!known || known !== fingerprint(params.sdp)) {
      // The peer began anew. So do we, which also leaves nothing of an offer that lost a collision.
      this.#discard();
      this.#build();
      this.#expectConnection(CONNECT_TIMEOUT);
    } else if (colliding) {
      await this.pc.setLocalDescription({ type: "rollback" });
      for (const one of this.pc.getTransceivers()) if (one.mid === null) one.stop?.();
    }
    const pc = this.pc;
    await pc.setRemoteDescription({ type: "offer", sdp: params.sdp });
    this.requestId = params.request_id;
    this.#note(params.sdp);
    this.#sendMedia("none");
    const answer = await pc.createAnswer();
    await pc.setLocalDescription(answer);
    this.#send("peer.answer", this.#description());
    this.#noteVideo(params.sdp, pc.localDescription.sdp);
    await this.#negotiated();
  }

  async #onAnswer(params) {
    if (this.pc?.signalingState !== "have-local-offer" || params.request_id !== this.requestId) return;
    const known = this.pc.remoteDescription && fingerprint(this.pc.remoteDescription.sdp);
    const now = fingerprint(params.sdp);
    if (known && now && known !== now) {
      // The peer began anew and knows nothing of the connection that was to go on: so do we.
      clearTimeout(this.#answerTimer);
      this.#ignored = null;
      this.#discard();
      return this.start();
    }
    await this.pc.setRemoteDescription({ type: "answer", sdp: params.sdp });
    clearTimeout(this.#answerTimer);
    this.#ignored = null;
    this.#note(params.sdp);
    this.#noteVideo(this.pc.localDescription.sdp, params.sdp);
    await this.#negotiated();
  }

  async #negotiated() {
    for (const params of this.early.take(this.pc.remoteDescription, this.requestId)) await this.#add(params);
    // The peer's offer may have had no section for what we send.
    this.#sendMedia("sent");
    this.#changed();
  }

  #note(sdp) {
    for (const codec of codecsIn(sdp)) this.#peerCodecs.add(codec);
  }

  /** Whether an offer and its answer agree on a codec for the video in it. */
  #noteVideo(offer, answer) {
    if (!offersVideo(offer)) return;
    const before = this.#noVideo;
    this.#noVideo = videoRefused(answer);
    if (this.#noVideo && !before) this.dispatchEvent(new Event("no-video"));
  }

  async #onCandidate(params) {
    if (belongs(params, this.pc?.remoteDescription, this.requestId)) await this.#add(params);
    else this.early.push(params);
  }

  async #add({ candidate, sdp_mid, sdp_m_line_index, user_fragment }) {
    const init = { candidate, sdpMid: sdp_mid ?? null, sdpMLineIndex: sdp_m_line_index ?? 0 };
    if (user_fragment) init.usernameFragment = user_fragment;
    // One bad candidate is no reason to give up: others may do.
    await this.pc.addIceCandidate(init).catch((error) => console.debug("candidate:", error.message));
  }

  async #send(method, params) {
    try {
      await this.send(method, params);
    } catch (error) {
      if (this.closed || error.code === null) return; // said again once signaling is back
      if (error.peerNotFound && this.connection !== "connected") return this.close("peer-gone");
      if (error.code === -32005) {
        await sleep(error.data.retry_after_ms ?? 500);
        if (!this.closed) await this.#send(method, params);
      } else console.warn(`${method} to ${this.peerId}: ${error.message}`);
    }
  }

  // The peer connection

  #build() {
    const pc = new RTCPeerConnection({ iceServers: this.iceServers(), bundlePolicy: "max-bundle" });
    this.pc = pc;
    this.failed = false;
    this.#restarts = 0;
    this.#strict = false;
    this.#noVideo = false;
    const current = (listener) => (event) => pc === this.pc && !this.closed && listener(event);
    pc.onnegotiationneeded = current(() => this.#run(() => this.#offer()));
    pc.onicecandidate = current(({ candidate }) => this.#trickle(candidate));
    pc.ontrack = current(({ track }) => this.#onTrack(track));
    pc.ondatachannel = current(({ channel }) => this.messages.offered(channel));
    pc.onconnectionstatechange = current(() => this.#onConnection(pc.connectionState));
    pc.oniceconnectionstatechange = current(() => this.#changed());
  }

  #discard() {
    const pc = this.pc;
    if (!pc) return;
    this.pc = null;
    this.ownRequestId = null;
    this.connectMs = null;
    this.startedAt = performance.now();
    this.messages.drop();
    pc.close();
    for (const track of this.remote.getTracks()) this.remote.removeTrack(track);
  }

  #trickle(candidate) {
    if (candidate && candidate.candidate === "") return; // some browsers say it twice: the null follows
    this.#send("peer.ice_candidate", {
      candidate: candidate?.candidate ?? "",
      sdp_mid: candidate?.sdpMid ?? "0",
      sdp_m_line_index: candidate?.sdpMLineIndex ?? 0,
      ...(candidate?.usernameFragment ? { user_fragment: candidate.usernameFragment } : {}),
      request_id: this.requestId,
    });
  }

  #onConnection(state) {
    if (state === "connected") {
      clearTimeout(this.#watch);
      this.#restarts = 0;
      this.failed = false;
      this.connectMs ??= performance.now() - this.startedAt;
    } else if (state === "failed") this.#notConnected();
    // One side is enough to restart, the other waits for that.
    else if (state === "disconnected") this.#expectConnection(this.polite ? PATIENCE * 2 : PATIENCE);
    this.#changed();
  }

  #expectConnection(within) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#notConnected(), within);
  }

  #notConnected() {
    if (this.closed || this.pc?.connectionState === "connected") return;
    if (this.#restarts++ === 0) {
      this.restartIce();
      return this.#expectConnection(RESTART_TIMEOUT);
    }
    clearTimeout(this.#watch);
    this.failed = true;
    this.dispatchEvent(new Event("failed"));
    this.#changed();
  }

  // Media

  #sendMedia(missing) {
    const { audio, video, stream } = this.media;
    sendMedia(this.pc, { audio, video: this.#noVideo ? null : video, stream }, missing, this.#codec);
  }

  get #codec() {
    return { name: this.codec(), only: this.#strict };
  }

  #onTrack(track) {
    replaceInStream(this.remote, track);
    track.onmute = track.onunmute = track.onended = () => this.#changed();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
