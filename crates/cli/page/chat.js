// Messages over the data channels: text and small files, to one or to all.

import { el, icon, setText } from "./dom.js";
import { MOST_BYTES } from "./messages.js";

const MOST_KEPT = 500;
const PICTURES = [
  [[0x89, 0x50, 0x4e, 0x47], "png", "image/png"],
  [[0xff, 0xd8, 0xff], "jpg", "image/jpeg"],
  [[0x47, 0x49, 0x46, 0x38], "gif", "image/gif"],
];

/** The chat panel and the memory of messages. */
export class Chat {
  #messages = [];
  #urls = [];

  /**
   * @param {{log: HTMLElement, form: HTMLFormElement, to: HTMLSelectElement, text: HTMLInputElement, file: HTMLInputElement,
   *   status: HTMLElement}} parts
   * @param {() => ?import("./room.js").Room} room
   */
  constructor(parts, room) {
    Object.assign(this, parts);
    this.room = room;
    this.onunread = () => {};
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.text.value;
      if (text.trim() && this.#sendTo(text)) this.text.value = "";
    });
    this.file.addEventListener("change", () => this.#sendFile());
  }

  /** All messages, oldest first, in the shape of the automation handle. */
  list() {
    return this.#messages.map((message) => ({ ...message }));
  }

  /** Sends to one peer. Throws in words if that cannot be. */
  send(to, data) {
    const room = this.room();
    if (!room) throw new Error("join a room first");
    room.send(to, data);
    this.#remember({ from: room.name, to }, data);
    this.#show(room.name, to, data);
  }

  /** A message came. */
  received(from, data) {
    this.#remember({ from, to: this.room()?.name ?? "" }, data);
    this.#show(from, null, data);
    this.onunread();
  }

  /** Offers these peers as receivers. */
  setPeers(ids) {
    const chosen = this.to.value;
    const options = [["", "Everyone"], ...ids.map((id) => [id, id])];
    this.to.replaceChildren(...options.map(([value, text]) => el("option", { value, text })));
    this.to.value = ids.includes(chosen) ? chosen : "";
  }

  /** Forgets what is shown; the memory stays. */
  clear() {
    this.log.replaceChildren();
    for (const url of this.#urls.splice(0)) URL.revokeObjectURL(url);
  }

  #sendTo(data) {
    const room = this.room();
    if (!room) return false;
    const to = this.to.value;
    const targets = to ? [to] : [...room.peers.values()].filter(({ call }) => call?.messages.state === "open").map(({ id }) => id);
    let reached = 0;
    let trouble = targets.length ? "" : "Nobody is connected yet.";
    for (const id of targets) {
      try {
        room.send(id, data);
        this.#remember({ from: room.name, to: id }, data);
        reached++;
      } catch (error) {
        trouble = `Not sent to ${id}: ${error.message}.`;
      }
    }
    setText(this.status, trouble);
    if (reached) this.#show(room.name, to || "everyone", data);
    return reached > 0;
  }

  async #sendFile() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) return setText(this.status, `${file.name} is too large: a message can have 256 kB.`);
    this.#sendTo(new Uint8Array(await file.arrayBuffer()));
  }

  async #remember(ends, data) {
    const text = typeof data === "string";
    const message = { ...ends, ...(text ? { kind: "text", text: data } : { kind: "binary", bytes: data.byteLength, hash: null }), at: Date.now() };
    this.#messages.push(message);
    if (this.#messages.length > MOST_KEPT) this.#messages.shift();
    // Insecure pages have no digests.
    if (!text && crypto.subtle) {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
      message.hash = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    }
  }

  #show(from, to, data) {
    const own = to !== null;
    const body = typeof data === "string" ? el("p", { text: data }) : this.#binary(from, data);
    const head = own ? `You to ${to}` : from;
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const line = el("li", { class: own ? "own" : "" }, el("span", { class: "head" }, el("b", { text: head }), el("time", { text: time })), body);
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
    this.log.append(line);
    while (this.log.childElementCount > 200) this.log.firstElementChild.remove();
    if (atEnd || own) this.log.scrollTop = this.log.scrollHeight;
  }

  #binary(from, data) {
    const [, ending, type] = PICTURES.find(([magic]) => magic.every((byte, index) => data[index] === byte)) ?? [null, "bin", "application/octet-stream"];
    const url = URL.createObjectURL(new Blob([data], { type }));
    this.#urls.push(url);
    if (this.#urls.length > 50) URL.revokeObjectURL(this.#urls.shift());
    const size = data.byteLength < 1000 ? `${data.byteLength} bytes` : `${(data.byteLength / 1000).toFixed(1)} kB`;
    const link = el("a", { href: url, download: `from-${from}.${ending}` }, icon("file"), `${size}, save`);
    const picture = type.startsWith("image/") ? el("img", { src: url, alt: `Picture from ${from}` }) : null;
    return el("p", { class: "binary" }, picture, link);
  }
}
