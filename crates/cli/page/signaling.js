// JSON-RPC 2.0 over one WebSocket at a time: requests, notifications, and coming back after the socket was lost.

import { leaveKey, takeKey } from "./handover.js";
import { sleep } from "./dom.js";

const REQUEST_TIMEOUT = 6_000;
const PING_INTERVAL = 10_000;
const PING_TIMEOUT = 5_000;
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 10_000;
/** A server that noticed nothing of our dead socket holds our name for that long. */
const NAME_HELD = 70_000;

/** An error that the server answered, or the lack of an answer (`code` is then null). */
export class SignalingError extends Error {
  constructor(code, message, data = {}) {
    super(message);
    this.name = "SignalingError";
    this.code = code;
    this.data = data;
  }
  get nameTaken() {
    return this.code === -32000 && this.data.reason === "peer_exists";
  }
  get peerNotFound() {
    return this.code === -32000 && this.data.reason === "peer_not_found";
  }
}

/**
 * The connection to the signaling server.
 *
 * Events: `state` (detail: "connecting", "connected" or "closed"), `registered` (detail: the announce result, plus
 * `again`: true after a lost connection), `notification` (detail: `{method, params}`), `fatal` (detail: an error after
 * which it does not try again).
 */
export class Signaling extends EventTarget {
  #socket = null;
  #waiting = new Map();
  #nextId = 1;
  #sessionKey = null;
  #registeredOnce = false;
  #ended = false;
  #wake = null;

  /** @param {{url: string, peerId: string, room: string, capabilities: string[], userData?: object}} options */
  constructor(options) {
    super();
    this.options = options;
    this.#sessionKey = takeKey(options.room, options.peerId);
    this.state = "closed";
    this.onOnline = () => this.#wake?.();
    window.addEventListener("online", this.onOnline);
  }

  /** Connects and registers. Rejects if that fails the first time; later losses are mended in the background. */
  async connect() {
    try {
      await this.#open();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Calls a method, and waits for its result. */
  request(method, params = {}, timeout = REQUEST_TIMEOUT) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new SignalingError(null, "not connected to the server"));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new SignalingError(null, `the server did not answer ${method}`));
      }, timeout);
      this.#waiting.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /** Calls a method without waiting for anything; false if there is no connection. */
  notify(method, params = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", method, params }));
    return true;
  }

  /** Says goodbye and closes for good. */
  close() {
    if (this.#ended) return;
    this.#ended = true;
    window.removeEventListener("online", this.onOnline);
    this.notify("peer.leave");
    leaveKey(this.options.room, this.options.peerId, this.#sessionKey);
    this.#socket?.close(1000);
    this.#failAll("left");
    this.#setState("closed");
    this.#wake?.();
  }

  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  async #open() {
    this.#setState("connecting");
    const socket = new WebSocket(this.options.url);
    await new Promise((resolve, reject) => {
      const failed = () => reject(new SignalingError(null, "the server does not answer"));
      const timer = setTimeout(() => (socket.close(), failed()), REQUEST_TIMEOUT);
      socket.onopen = () => (clearTimeout(timer), resolve());
      socket.onerror = socket.onclose = () => (clearTimeout(timer), failed());
    });
    if (this.#ended) return socket.close();
    this.#socket = socket;
    socket.onerror = null;
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#lost(socket, event);
    try {
      await this.#announce();
    } catch (error) {
      socket.onclose = socket.onmessage = null;
      this.#socket = null;
      socket.close();
      throw error;
    }
    if (this.#socket === socket) this.#watch(socket);
  }

  async #announce() {
    const { peerId, room, capabilities, userData } = this.options;
    const params = { peer_id: peerId, room, capabilities, user_data: userData ?? {} };
    let result;
    try {
      const key = this.#sessionKey;
      result = await this.request("peer.announce", key ? { ...params, session_key: key } : params);
    } catch (error) {
      // A server that was restarted knows no keys; and a key that is refused once will not get better.
      if (!this.#sessionKey || error.code === null) throw error;
      this.#sessionKey = null;
      result = await this.request("peer.announce", params);
    }
    this.#sessionKey = result.session_key ?? null;
    const again = this.#registeredOnce;
    this.#registeredOnce = true;
    this.#setState("connected");
    this.dispatchEvent(new CustomEvent("registered", { detail: { ...result, again } }));
  }

  #receive(socket, text) {
    if (socket !== this.#socket) return;
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      return;
    }
    for (const message of Array.isArray(data) ? data : [data]) {
      if (message === null || typeof message !== "object") continue;
      if (typeof message.method === "string") {
        const detail = { method: message.method, params: message.params ?? {} };
        this.dispatchEvent(new CustomEvent("notification", { detail }));
        continue;
      }
      const waiting = this.#waiting.get(message.id);
      if (!waiting) continue;
      this.#waiting.delete(message.id);
      clearTimeout(waiting.timer);
      if (message.error) {
        const { code, message: said, data: more } = message.error;
        waiting.reject(new SignalingError(code ?? -32603, String(said), more ?? {}));
      } else waiting.resolve(message.result ?? {});
    }
  }

  /** A socket can look open long after its server is gone: only an answer proves the opposite. */
  async #watch(socket) {
    while (this.#socket === socket) {
      await sleep(PING_INTERVAL);
      if (this.#socket !== socket) return;
      try {
        await this.request("peer.ping", {}, PING_TIMEOUT);
      } catch (error) {
        if (error.code !== null || this.#socket !== socket) continue;
        // Closing politely would wait for the dead server.
        socket.onclose = socket.onmessage = null;
        socket.close();
        this.#lost(socket, { code: 1006 });
      }
    }
  }

  #lost(socket, event) {
    if (this.#socket !== socket || this.#ended) return;
    this.#socket = null;
    this.#failAll("the connection to the server was lost");
    if (event.code === 4001) return this.#giveUp(new SignalingError(-32000, "taken over", { reason: "peer_exists" }));
    if (event.code === 1008) return this.#giveUp(new SignalingError(-32006, event.reason || "removed by the server"));
    this.#setState("connecting");
    this.#comeBack();
  }

  async #comeBack() {
    const since = performance.now();
    for (let attempt = 0; !this.#ended; attempt++) {
      const ceiling = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt);
      // Jitter: everyone in the room lost the server at the same moment.
      const pause = ceiling / 2 + (Math.random() * ceiling) / 2;
      await Promise.race([sleep(pause), new Promise((resolve) => (this.#wake = resolve))]);
      if (this.#ended) return;
      try {
        return await this.#open();
      } catch (error) {
        const held = error.nameTaken && performance.now() - since < NAME_HELD;
        const passing = error.code === null || error.code === -32005 || error.code === -32001 || held;
        if (!passing) return this.#giveUp(error);
      }
    }
  }

  #giveUp(error) {
    this.close();
    this.dispatchEvent(new CustomEvent("fatal", { detail: error }));
  }

  #failAll(why) {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new SignalingError(null, why));
    }
    this.#waiting.clear();
  }
}
