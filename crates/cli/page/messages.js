// The data channel of a call.

const LABEL = "remotemedia";
/** Above that much unsent data a message is refused rather than piled up. */
const MOST_UNSENT = 8 * 1024 * 1024;
/** What every peer takes in one message. */
export const MOST_BYTES = 256 * 1024 - 1;

/** Sends and receives messages over the channel that is open now. */
export class MessageChannel {
  #channel = null;
  // Channels that nobody holds are closed once they are garbage.
  #others = [];

  /** @param {(data: string|Uint8Array) => void} onmessage */
  constructor(onmessage) {
    this.onmessage = onmessage;
    this.onchange = () => {};
  }

  /** The state of the channel, "none" if there is none. */
  get state() {
    return this.#channel?.readyState ?? "none";
  }

  /** Takes over a channel that we opened. */
  adopt(channel) {
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.onopen = channel.onclose = () => this.onchange();
    channel.onmessage = ({ data }) => this.onmessage(typeof data === "string" ? data : new Uint8Array(data));
  }

  /** The peer opened a channel: ours if it has the right name, else it is only kept open. */
  offered(channel) {
    if (channel.label !== LABEL) return void this.#others.push(channel);
    if (this.state === "open") this.#others.push(this.#channel);
    this.adopt(channel);
    this.onchange();
  }

  /** Sends a message; throws an error in words if that is not possible. */
  send(data) {
    if (this.state !== "open") throw new Error("the channel for messages is not open");
    const size = typeof data === "string" ? new TextEncoder().encode(data).length : data.byteLength;
    if (size > MOST_BYTES) throw new Error("a message can have 256 kB at most");
    if (this.#channel.bufferedAmount > MOST_UNSENT) throw new Error("the connection is too slow for more right now");
    this.#channel.send(data);
  }

  /** The connection is over. */
  drop() {
    this.#channel = null;
    this.#others = [];
  }
}
