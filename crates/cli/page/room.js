// Everyone in the room, and the calls to them. The newcomer calls; whoever was there before waits for that.

import { Call } from "./call.js";
import { EarlyCandidates } from "./candidates.js";
import { Signaling } from "./signaling.js";
import { Meter } from "./stats.js";

/** How long a newcomer has to call before we do. */
const OFFER_DUE = 3_000;
/** How a peer says that it gave up looking for a network path. */
const NO_PATH = ["network_error", "timeout"];
/** What is no problem any more once there is a call. */
const SOLVED_BY_A_CALL = ["ice-failed", "peer-busy", "peer-gone"];

/**
 * A room that was joined.
 *
 * Events: `peers` (somebody came or went), `peer` (detail: an entry that changed), `message` (detail: `{from, data}`),
 * `state` (signaling), `fatal` (detail: an error).
 */
export class Room extends EventTarget {
  /** What is known of each peer, by id: `{id, record, present, call, meter, early, hungUp, busy, note, toldOfNoPath}`. */
  peers = new Map();
  #iceServers = [];

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string} options.name
   * @param {string} options.room
   * @param {import("./media.js").Media} options.media
   * @param {() => string} options.codec
   * @param {import("./problems.js").Problems} options.problems
   */
  constructor({ url, name, room, media, codec, problems }) {
    super();
    Object.assign(this, { name, room, media, codec, problems });
    this.left = false;
    this.signaling = new Signaling({ url, peerId: name, room, capabilities: ["audio", "video", "data"] });
    this.signaling.addEventListener("registered", ({ detail }) => this.#onRegistered(detail));
    this.signaling.addEventListener("notification", ({ detail }) => this.#onNotification(detail));
    this.signaling.addEventListener("state", () => this.#onState());
    this.signaling.addEventListener("fatal", ({ detail }) => this.#emit("fatal", detail));
    this.onMedia = () => this.#eachCall((call) => call.updateMedia());
    media.addEventListener("change", this.onMedia);
  }

  /** Registers and calls everyone who is there. */
  join() {
    return this.signaling.connect();
  }

  /** Ends all calls and leaves. */
  leave() {
    if (this.left) return;
    this.left = true;
    this.media.removeEventListener("change", this.onMedia);
    this.signaling.close();
    for (const entry of this.peers.values()) {
      clearTimeout(entry.timer);
      entry.call?.close("left");
    }
    this.peers.clear();
  }

  /** Calls a peer; a call that stands is ended first. */
  call(id) {
    const entry = this.#entry(id);
    entry.toldOfNoPath = false;
    for (const code of SOLVED_BY_A_CALL) this.problems.solve(code, id);
    this.#begin(entry);
  }

  #begin(entry) {
    clearTimeout(entry.timer);
    this.#drop(entry, "called again");
    entry.hungUp = entry.busy = false;
    entry.note = "";
    this.#newCall(entry).start();
    this.#emit("peer", entry);
  }

  /** Ends the call to a peer, who stays in the room. */
  hangUp(id) {
    const entry = this.peers.get(id);
    if (!entry?.call) return;
    clearTimeout(entry.timer);
    const params = { from: this.name, to: id, reason: "user_requested" };
    if (entry.call.requestId) params.request_id = entry.call.requestId;
    this.signaling.notify("peer.disconnect", params);
    entry.hungUp = true;
    entry.note = "You hung up.";
    this.#drop(entry, "hung up");
    if (!entry.present) this.#remove(entry);
  }

  /** Sends a message; throws if that cannot be. */
  send(id, data) {
    const call = this.peers.get(id)?.call;
    if (!call) throw new Error(`there is no call to ${id}`);
    call.messages.send(data);
  }

  /** The wanted codec changed. */
  updateCodec() {
    this.#eachCall((call) => call.updateCodec());
  }

  #eachCall(act) {
    for (const { call } of this.peers.values()) if (call) act(call);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #entry(id, record = null) {
    let entry = this.peers.get(id);
    if (!entry) {
      entry = { id, record, present: true, call: null, hungUp: false, busy: false, note: "", timer: 0, toldOfNoPath: false };
      Object.assign(entry, { meter: new Meter(), early: new EarlyCandidates() });
      this.peers.set(id, entry);
      this.#emit("peers");
    }
    if (record) entry.record = record;
    return entry;
  }

  #newCall(entry) {
    const { id, early } = entry;
    const send = (method, params) => this.signaling.request(method, { from: this.name, to: id, ...params });
    const { media, codec } = this;
    const call = new Call({ selfId: this.name, peerId: id, send, media, codec, early, iceServers: () => this.#iceServers });
    entry.call = call;
    call.addEventListener("change", () => this.#onCallChange(entry, call));
    call.addEventListener("message", ({ detail }) => this.#emit("message", { from: id, data: detail }));
    const noVideo = { peer: id, text: `${id} and this browser have no video codec in common.` };
    call.addEventListener("no-video", () => this.problems.report("no-common-codec", noVideo));
    call.addEventListener("failed", () => this.#onFailed(entry, call));
    call.addEventListener("ended", ({ detail }) => {
      if (entry.call === call) entry.call = null;
      if (detail === "peer-gone") this.#remove(entry);
      else this.#emit("peer", entry);
    });
    return call;
  }

  #drop(entry, why) {
    entry.call?.close(why);
    entry.call = null;
  }

  #remove(entry) {
    if (this.peers.get(entry.id) !== entry) return;
    clearTimeout(entry.timer);
    this.#drop(entry, "removed");
    this.peers.delete(entry.id);
    this.#emit("peers");
  }

  #onCallChange(entry, call) {
    if (call.connection === "connected") {
      entry.toldOfNoPath = false;
      for (const code of SOLVED_BY_A_CALL) this.problems.solve(code, entry.id);
    }
    // Only the call spoke for a peer that the server does not see.
    else if (!entry.present && call.connection !== "connecting") return this.#remove(entry);
    this.#emit("peer", entry);
  }

  #onFailed(entry, call) {
    if (!entry.present) return this.#remove(entry);
    // Without the server nothing can be mended; when it is back, the call is looked at again.
    if (this.signaling.state === "connected" && entry.call === call) this.#tellOfNoPath(entry);
  }

  /** Once, until there is a path: calls go on being tried. */
  #tellOfNoPath(entry) {
    if (entry.toldOfNoPath) return;
    entry.toldOfNoPath = true;
    this.problems.report("ice-failed", { peer: entry.id });
  }

  #onState() {
    if (this.left) return;
    if (this.signaling.state === "connecting" && this.peers.size + this.#iceServers.length > 0) this.problems.report("server-gone");
    if (this.signaling.state === "connected") this.problems.solve("server-gone");
    this.#emit("state", this.signaling.state);
  }

  #onRegistered({ peers, ice_servers: iceServers, again }) {
    this.#iceServers = Array.isArray(iceServers) ? iceServers : [];
    const listed = new Set();
    for (const record of Array.isArray(peers) ? peers : []) {
      listed.add(record.peer_id);
      const entry = this.#entry(record.peer_id, record);
      entry.present = true;
      if (!entry.call && !entry.hungUp) this.call(entry.id);
    }
    if (!again) return;
    for (const entry of [...this.peers.values()]) {
      if (!listed.has(entry.id)) this.#onMissing(entry, false);
      else if (entry.call) this.#afterReturn(entry, entry.call);
    }
  }

  /** The server is back, and so is this peer: the call goes on, unless one of us lost it. */
  async #afterReturn(entry, call) {
    call.resume();
    if (["new", "connecting"].includes(call.connection)) return;
    if (!(await call.alive()) && entry.call === call && entry.present) this.call(entry.id);
  }

  #onNotification({ method, params }) {
    const from = params.from ?? params.peer_id;
    if (this.left || typeof from !== "string" || from === this.name) return;
    if (method === "peer.announced") this.#onAnnounced(params);
    else if (method === "peer.left") this.#onLeft(params);
    else if (method === "peer.offer") this.#onOffer(params);
    else if (method === "peer.answer") this.peers.get(from)?.call?.receive(method, params);
    else if (method === "peer.ice_candidate") this.#onCandidate(params);
    else if (method === "peer.disconnected") this.#onDisconnected(params);
    // Others belong to a newer server.
  }

  async #onAnnounced({ peer_id: id, resumed, ...record }) {
    const entry = this.#entry(id, { peer_id: id, ...record });
    entry.present = true;
    entry.note = "";
    const { call } = entry;
    if (resumed) {
      // It comes back to a call that stands; if there is none, it may want one.
      if (!call && !entry.hungUp) this.#expectOffer(entry);
      return;
    }
    entry.hungUp = false;
    if (call) {
      // Either it began anew, then its old call is silent; or the server did, then the call goes on.
      const settled = call.connection === "connected" && call.pc?.signalingState === "stable";
      const pc = call.pc;
      if (settled && (await call.alive())) return;
      if (entry.call !== call || call.pc !== pc) return; // it has called meanwhile
      this.#drop(entry, "it began anew");
    }
    this.#expectOffer(entry);
    this.#emit("peer", entry);
  }

  #expectOffer(entry) {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      if (!this.left && entry.present && !entry.call && !entry.hungUp) this.#begin(entry);
    }, OFFER_DUE);
  }

  #onLeft({ peer_id: id, reason }) {
    for (const other of this.peers.values()) if (other.busy) this.#onRoom(other);
    const entry = this.peers.get(id);
    if (!entry) return;
    if (reason === "left" || reason === "kicked") return this.#remove(entry);
    // `replaced` is followed by an announcement.
    if (reason !== "replaced") this.#onMissing(entry, true);
  }

  /** The server does not see a peer any more. Media that flows proves it wrong. */
  async #onMissing(entry, tell) {
    entry.present = false;
    const { call } = entry;
    if (call && (await call.alive())) return;
    if (entry.present || entry.call !== call) return;
    if (tell) this.problems.report("peer-gone", { peer: entry.id, text: `${entry.id} left without a word.` });
    this.#remove(entry);
  }

  #onOffer(params) {
    const entry = this.#entry(params.from);
    clearTimeout(entry.timer);
    entry.present = true;
    entry.hungUp = entry.busy = false;
    entry.note = "";
    if (!entry.call) this.#newCall(entry);
    entry.call.receive("peer.offer", params);
    this.#emit("peer", entry);
  }

  #onCandidate(params) {
    const entry = this.peers.get(params.from);
    if (!entry) return; // a late one of a peer that left
    if (entry.call) entry.call.receive("peer.ice_candidate", params);
    else entry.early.push(params);
  }

  #onDisconnected({ from, reason, request_id: requestId }) {
    const entry = this.peers.get(from);
    const call = entry?.call;
    if (!call || (requestId && !call.owns(requestId))) return;
    const stood = call.connectMs !== null;
    this.#drop(entry, "disconnected");
    if (reason === "busy") return this.#onBusy(entry);
    entry.note = reason === "user_requested" ? `${from} hung up.` : `The call ended: ${String(reason).replaceAll("_", " ")}.`;
    entry.hungUp = reason === "user_requested";
    if (!entry.present) return this.#remove(entry);
    if (!stood && NO_PATH.includes(reason)) this.#tellOfNoPath(entry);
    if (!entry.hungUp) this.#expectOffer(entry);
    this.#emit("peer", entry);
  }

  /** It takes no more calls: asking again and again would not help. */
  #onBusy(entry) {
    entry.busy = entry.hungUp = true;
    const text = `${entry.id} talks to as many others as it may.`;
    entry.note = text;
    this.problems.report("peer-busy", { peer: entry.id, text });
    this.#emit("peer", entry);
  }

  /** Somebody left: there may be room for us now. */
  #onRoom(entry) {
    entry.busy = entry.hungUp = false;
    if (entry.present && !entry.call) this.#expectOffer(entry);
  }
}
