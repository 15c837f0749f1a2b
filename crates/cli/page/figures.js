// The figures of a tile: a line that is always there, and everything there is behind a button.

import { el, setText } from "./dom.js";
import { sparkline } from "./sparkline.js";
import { lossIn } from "./stats.js";

const SHOWN = [
  ["up", "Sent"],
  ["down", "Received"],
  ["rtt", "Round trip"],
  ["fps", "Frames/s"],
];

const NAMES = {
  kbps: "Rate", fps: "Frames per second", width: "Width", height: "Height", codec: "Codec", frames: "Frames encoded",
  frames_decoded: "Frames decoded", packets: "Packets", lost: "Packets lost", rtx: "Packets repeated", nack: "Repeats asked for",
  pli: "Keyframes asked for", keyframes: "Keyframes", estimate_kbps: "Estimated bandwidth", dropped: "Frames dropped",
  freezes: "Freezes", freeze_ms: "Frozen", concealed: "Samples concealed", level: "Level",
};

/** Shows the statistics of one tile. */
export class Figures {
  /** @param {"self"|"bot"|"peer"} kind @param {string} id for the panel, so that the button can name it */
  constructor(kind, id) {
    this.kind = kind;
    this.summary = el("p", { class: "summary" });
    this.cells = new Map();
    if (kind === "self") {
      this.node = el("div", { class: "figures" }, this.summary);
      return;
    }
    const cells = SHOWN.map(([key, label]) => {
      const value = el("b", { text: "–" });
      const spark = sparkline();
      this.cells.set(key, { value, spark });
      return el("div", { class: `cell ${key}` }, el("span", { class: "label", text: label }), value, spark.node);
    });
    this.table = el("div", { class: "table", id, hidden: true, role: "region", "aria-label": "All figures", tabindex: "0" });
    this.button = el("button", { class: "link", type: "button", "aria-expanded": "false", "aria-controls": id, text: "All figures" });
    this.button.addEventListener("click", () => this.toggle());
    this.table.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event));
    this.button.addEventListener("keydown", (event) => event.key === "Escape" && !this.table.hidden && this.#escape(event));
    const line = el("div", { class: "line" }, this.summary, this.button);
    this.node = el("div", { class: "figures" }, el("div", { class: "cells" }, ...cells), line, this.table);
  }

  #escape(event) {
    event.stopPropagation();
    this.toggle(false);
    this.button.focus();
  }

  toggle(open = this.table.hidden) {
    this.table.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    setText(this.button, open ? "Fewer figures" : "All figures");
    if (open && this.latest) this.#fillTable(this.latest);
  }

  /** The own tile: what the source gives. */
  describe(text) {
    setText(this.summary, text);
  }

  /** Shows statistics, null for none. */
  show(stats, history) {
    this.latest = stats;
    const loss = stats ? lossIn(stats) : null;
    const latest = (key) => (stats ? (history[key].at(-1) ?? null) : null);
    const texts = { up: rate(latest("up")), down: rate(latest("down")), rtt: ms(latest("rtt")), fps: plain(latest("fps")) };
    for (const [key, { value, spark }] of this.cells) {
      setText(value, texts[key]);
      spark.draw(stats ? history[key] : []);
    }
    setText(this.summary, stats ? summary(stats, loss) : "");
    if (stats && !this.table.hidden) this.#fillTable(stats);
  }

  #fillTable(stats) {
    const groups = [
      ["Connection", { rtt: ms(stats.rtt_ms), connect: ms(stats.connect_ms) }],
      ["Picture received", stats.in.video], ["Picture sent", stats.out.video],
      ["Sound received", stats.in.audio], ["Sound sent", stats.out.audio],
    ];
    const own = { rtt: "Round trip", connect: "Time to connect" };
    const rows = groups.map(([title, values]) => {
      const list = Object.entries(values).filter(([, value]) => value !== null);
      const pairs = list.flatMap(([key, value]) => [el("dt", { text: own[key] ?? NAMES[key] ?? key }), el("dd", { text: worded(key, value) })]);
      return list.length ? el("section", {}, el("h4", { text: title }), el("dl", {}, ...pairs)) : null;
    });
    this.table.replaceChildren(...rows.filter(Boolean));
  }
}

function summary(stats, loss) {
  const { video } = stats.in;
  const parts = [];
  const codec = video.codec ?? stats.out.video.codec;
  if (codec) parts.push(codec);
  if (video.width) parts.push(`${video.width}×${video.height}`);
  if (video.frames_decoded) parts.push(`${video.frames_decoded.toLocaleString("en")} frames`);
  if (loss !== null) parts.push(`loss ${(loss * 100).toFixed(loss > 0 && loss < 0.1 ? 1 : 0)} %`);
  if (stats.out.video.estimate_kbps) parts.push(`room for ${rate(stats.out.video.estimate_kbps)}`);
  return parts.join(" · ");
}

function worded(key, value) {
  if (key.endsWith("kbps")) return rate(value);
  if (key === "freeze_ms") return ms(value);
  if (key === "level") return value.toFixed(3);
  return typeof value === "number" ? value.toLocaleString("en") : value;
}

const plain = (value) => (value === null ? "–" : String(Math.round(value)));
const ms = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

function rate(kbps) {
  if (kbps === null) return "–";
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(kbps >= 10_000 ? 0 : 1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}
