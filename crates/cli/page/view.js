// The grid of tiles: one for ourselves, one for each peer.

import { el, icon, setText } from "./dom.js";
import { Figures } from "./figures.js";

const STATES = {
  new: ["Calling…", "busy"],
  connecting: ["Connecting…", "busy"],
  connected: ["Connected", "good"],
  disconnected: ["Interrupted, looking for a way…", "busy"],
  failed: ["No connection", "bad"],
  closed: ["Ended", "idle"],
};

/** Shows tiles, and keeps them in order: ourselves, the bot, the others as they came. */
export class Tiles {
  #tiles = new Map();

  /**
   * @param {HTMLElement} grid
   * @param {object} actions `call(id)`, `hangUp(id)`, `blocked()`: the browser does not let a tile be heard,
   *   `unblocked()`: it does from now on
   */
  constructor(grid, actions) {
    this.grid = grid;
    this.actions = actions;
    // Whatever the user touches, sound may play from then on. Not at `pointerdown`: a finger has to be lifted first.
    document.addEventListener("click", () => this.unblock());
    document.addEventListener("keydown", () => this.unblock());
  }

  /** The user touched the page: what the browser kept silent is heard. */
  unblock() {
    this.#tiles.forEach((tile) => tile.unblock());
    this.actions.unblocked();
  }

  /** The tile of a peer, or of "self". */
  get(id) {
    return this.#tiles.get(id);
  }

  /** Makes a tile unless there is one. `kind` is "self", "bot" or "peer". */
  add(id, kind, options) {
    let tile = this.#tiles.get(id);
    if (!tile) {
      tile = new Tile(id, kind, options, this.actions);
      this.#tiles.set(id, tile);
      if (kind === "self") this.grid.prepend(tile.node);
      else if (kind === "bot" && this.get("self")) this.get("self").node.after(tile.node);
      else this.grid.append(tile.node);
      this.#count();
    }
    return tile;
  }

  /** Removes the tiles of all who are not in `ids`. */
  keepOnly(ids) {
    for (const [id, tile] of this.#tiles) {
      if (ids.includes(id)) continue;
      tile.remove();
      this.#tiles.delete(id);
    }
    this.#count();
  }

  #count() {
    this.grid.dataset.count = String(Math.min(12, this.#tiles.size));
  }
}

class Tile {
  #blocked = false;
  #stream = null;
  #volumeIsOwn = false;
  #elsewhere = false;
  #mutedForMix = false;

  constructor(id, kind, { name, muted = false }, actions) {
    Object.assign(this, { id, kind, name, actions });
    this.video = el("video", { autoplay: true, playsinline: true, "aria-label": `Picture: ${name}` });
    this.video.muted = muted || kind === "self";
    this.badge = el("span", { class: "badge" });
    this.empty = el("div", { class: "empty" }, el("span", { class: "initial", text: initial(name) }), el("span", { class: "why" }));
    this.figures = new Figures(kind, `figures-${id}`);
    const labels = { self: "the raw source", bot: "back from the pipeline", peer: "" };
    this.what = el("span", { class: "what", text: labels[kind] });
    this.node = el("article", { class: `tile ${kind}`, "data-peer": id, "aria-label": name },
      el("div", { class: "picture" },
        this.video,
        this.empty,
        el("div", { class: "caption" },
          el("span", { class: "who", text: name }),
          this.what),
        this.badge,
        this.#hearButton()),
      this.#footer());
    this.#showSound();
    if (kind === "self") this.setBadge("You", "self");
  }

  #hearButton() {
    const listener = () => {
      this.setMuted(false);
      if (this.video.volume < 0.05) this.video.volume = 0.4;
      this.#showSound();
    };
    this.hear = el("button", { class: "hear", type: "button", hidden: true, on: { click: listener } }, icon("muted"), el("span", { text: "Hear it" }));
    return this.hear;
  }

  #footer() {
    const footer = el("div", { class: "footer" }, this.figures.node);
    if (this.kind === "self") return footer;
    this.mute = el("button", { class: "small", type: "button", on: { click: () => this.setMuted(!this.video.muted) } });
    this.volume = el("input", { type: "range", min: "0", max: "1", step: "0.05", "aria-label": `Volume of ${this.name}` });
    this.volume.addEventListener("input", () => {
      this.#volumeIsOwn = true;
      this.video.volume = Number(this.volume.value);
      this.setMuted(this.video.volume === 0);
    });
    this.again = el("button", { class: "small again", type: "button", hidden: true, on: { click: () => this.actions.call(this.id) } }, icon("call"), "Call again");
    this.end = el("button", { class: "small", type: "button", title: `Hang up ${this.name}`, "aria-label": `Hang up ${this.name}`, on: { click: () => this.actions.hangUp(this.id) } }, icon("hangup"));
    footer.prepend(el("div", { class: "sound" }, this.mute, this.volume, el("span", { class: "gap" }), this.again, this.end));
    return footer;
  }

  /** Shows a stream; the same one again changes nothing. */
  show(stream) {
    if (this.#stream === stream) return;
    this.#stream = stream;
    this.video.srcObject = stream;
    if (stream) this.#play();
  }

  async #play() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      // Pictures may play without being asked for, sound may not.
      this.#blocked = true;
      this.video.muted = true;
      this.#showSound();
      this.actions.blocked();
      this.video.play().catch(() => {});
    }
  }

  /** The user touched the page: what the browser kept silent is heard. */
  unblock() {
    if (this.#blocked) this.setMuted(false);
  }

  /** A volume that is used until the user sets one. */
  suggestVolume(volume) {
    if (this.#volumeIsOwn || this.video.volume === volume) return;
    this.video.volume = volume;
    this.#showSound();
  }

  /** Whether this peer's voice comes back from the pipeline too: then it is not played twice, unless the user wants it. */
  hearElsewhere(elsewhere) {
    if (elsewhere === this.#elsewhere) return;
    this.#elsewhere = elsewhere;
    setText(this.what, elsewhere ? "heard in the mix" : "");
    if (elsewhere && (!this.video.muted || this.#blocked)) {
      this.setMuted(true);
      this.#mutedForMix = true;
    } else if (!elsewhere && this.#mutedForMix) this.setMuted(false);
  }

  /** Mutes the loudspeaker; media goes on being received. */
  setMuted(muted) {
    this.#blocked = this.#mutedForMix = false;
    this.video.muted = muted;
    if (!muted) this.video.play().catch(() => {});
    this.#showSound();
  }

  #showSound() {
    if (!this.mute) return;
    const { muted } = this.video;
    this.mute.replaceChildren(icon(muted ? "muted" : "sound"));
    const label = `${muted ? "Unmute" : "Mute"} ${this.name}`;
    this.mute.setAttribute("aria-label", label);
    this.mute.title = label;
    this.volume.value = String(muted ? 0 : this.video.volume);
    this.hear.hidden = !muted;
    setText(this.hear.lastElementChild, this.#blocked ? "Click to hear" : "Hear it");
  }

  /** What the corner says, and how. */
  setBadge(text, tone) {
    setText(this.badge, text);
    this.badge.dataset.tone = tone;
  }

  /** Brings the tile of a peer up to date. */
  update(entry) {
    const { call } = entry;
    const [text, tone] = call ? (STATES[call.connection] ?? STATES.new) : ["Not connected", "idle"];
    this.setBadge(call && call.connection === "connected" && !entry.present ? "Connected, without the server" : text, tone);
    this.show(call?.remote ?? null);
    const picture = Boolean(call?.hasVideo);
    this.node.classList.toggle("with-picture", picture);
    const waiting = call?.connection === "connected" ? "No picture is sent." : "";
    setText(this.empty.lastElementChild, call ? waiting : entry.note || "No call.");
    this.again.hidden = Boolean(call) && call.connection !== "failed";
    this.end.hidden = !call;
    this.hear.hidden = !this.video.muted || !call?.hasAudio;
  }

  /** The own tile: what is sent. */
  updateSelf(media, name) {
    this.show(media.stream);
    this.node.classList.toggle("with-picture", Boolean(media.video) && !media.muted.video);
    setText(this.empty.lastElementChild, media.video ? "Your picture is hidden." : "You send no picture.");
    setText(this.empty.firstElementChild, initial(name));
    const silent = !media.audio || media.muted.audio;
    this.setBadge(silent ? "You, silent" : "You", "self");
  }

  remove() {
    this.video.srcObject = null;
    this.node.remove();
  }
}

const initial = (name) => (name.match(/[A-Za-z0-9]/)?.[0] ?? "?").toUpperCase();
