// The pipeline that our media runs through: which one, what it looks like, and how long each node takes.

import { el, setText, sleep, svg } from "./dom.js";
import { layOut } from "./graph.js";

const POLL = 1_000;
/** The bot may need a moment to know us. */
const PATIENCE = 8_000;

/** Fetches what the program tells of itself; null if it is not there. */
export async function fetchInfo() {
  try {
    const response = await fetch("/api/info");
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** The pipeline panel. */
export class PipelinePanel {
  #name = null;
  #wanted = null;
  #peerId = null;
  #run = 0;
  #drawn = null;
  #labels = new Map();

  /** @param {{select: HTMLSelectElement, about: HTMLElement, graph: HTMLElement, status: HTMLElement}} parts @param {object} info */
  constructor(parts, info) {
    Object.assign(this, parts);
    this.info = info;
    this.onchange = () => {};
    for (const pipeline of info.pipelines ?? []) {
      this.select.append(el("option", { value: pipeline.name, text: pipeline.title || pipeline.name }));
    }
    this.#show(info.default_pipeline);
    this.select.addEventListener("change", () => this.set(this.select.value).catch(() => {}));
  }

  /** The name of the one that runs, or will. */
  get name() {
    return this.#wanted ?? this.#name;
  }

  /** Chooses a pipeline: at once if we are connected, else for when we are. Rejects in words. */
  async set(name) {
    if (!(this.info.pipelines ?? []).some((pipeline) => pipeline.name === name)) throw new Error(`there is no pipeline named ${name}`);
    this.#wanted = name;
    this.#show(name);
    this.onchange();
    if (this.#peerId) await this.#apply();
  }

  /** The bot has us as a peer under that id: looks once a second from now on. */
  async start(peerId) {
    if (this.#peerId === peerId) return;
    this.#peerId = peerId;
    const run = ++this.#run;
    if (this.#wanted) this.#apply().catch(() => {});
    while (run === this.#run) {
      if (!document.hidden) await this.#poll(run);
      await sleep(POLL);
    }
  }

  /** The bot has us no more. */
  stop() {
    this.#run++;
    this.#peerId = null;
    for (const label of this.#labels.values()) setText(label, "");
  }

  async #apply() {
    const run = this.#run;
    const name = this.#wanted;
    const until = performance.now() + PATIENCE;
    while (run === this.#run && this.#wanted === name) {
      const { ok, status, body } = await this.#ask("PUT", { name });
      if (ok) {
        if (this.#wanted === name) this.#figures(body);
        return setText(this.status, "");
      }
      if ((status !== 404 && status !== 0) || performance.now() > until) {
        setText(this.status, `The pipeline was not changed: ${body.error}`);
        this.#wanted = null;
        throw new Error(body.error);
      }
      await sleep(250);
    }
  }

  async #poll(run) {
    const { ok, body } = await this.#ask("GET");
    if (run !== this.#run || !ok) return;
    // While a change is on its way the answer may still be about the one before.
    if (this.#wanted && body.name !== this.#wanted) return;
    this.#figures(body);
  }

  async #ask(method, json) {
    const options = { method, signal: AbortSignal.timeout(5_000), cache: "no-store" };
    if (json) Object.assign(options, { body: JSON.stringify(json), headers: { "content-type": "application/json" } });
    try {
      const response = await fetch(`/api/peers/${encodeURIComponent(this.#peerId)}/pipeline`, options);
      const body = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
      return { ok: response.ok, status: response.status, body };
    } catch {
      return { ok: false, status: 0, body: { error: "the server does not answer" } };
    }
  }

  #show(name) {
    this.#name = name;
    this.select.value = name ?? "";
    const pipeline = (this.info.pipelines ?? []).find((one) => one.name === name);
    setText(this.about, pipeline?.description ?? "");
    if (pipeline && this.#drawn !== pipeline) this.#draw(pipeline);
  }

  #draw(pipeline) {
    this.#drawn = pipeline;
    this.#labels.clear();
    const { width, height, boxes, lines } = layOut(pipeline);
    const title = `${pipeline.title || pipeline.name}: ${(pipeline.nodes ?? []).map((node) => node.id).join(", ") || "nothing in between"}`;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, style: `max-width:${width}px` });
    for (const path of lines) picture.append(svg("path", { class: "edge", d: path }), svg("path", { class: "flow", d: path }));
    for (const box of boxes) {
      const middle = box.x + box.width / 2;
      const group = svg("g", { class: `node ${box.kind}` }, svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.kind === "end" ? box.height / 2 : 10 }));
      if (box.kind === "end") group.append(svg("text", { class: "id", x: middle, y: box.y + box.height / 2, text: box.label }));
      else {
        const figure = svg("text", { class: "figure", x: middle, y: box.y + box.height - 11 });
        this.#labels.set(box.id, figure);
        group.append(svg("text", { class: "id", x: middle, y: box.y + 15, text: short(box.id, box.width) }), svg("text", { class: "type", x: middle, y: box.y + 31, text: short(box.type, box.width) }), figure);
      }
      picture.append(group);
    }
    this.graph.replaceChildren(picture);
  }

  #figures(body) {
    if (body.name !== this.#name) this.#show(body.name);
    this.#wanted = body.name;
    for (const node of body.nodes ?? []) {
      const label = this.#labels.get(node.id);
      if (!label) continue;
      const parts = [node.calls > 0 ? `${duration(node.mean_us)} mean` : "idle"];
      if (node.queued > 0) parts.push(`${node.queued} waiting`);
      if (node.failures > 0) parts.push(`${node.failures} failed`);
      setText(label, parts.join(" · "));
      label.classList.toggle("bad", node.failures > 0);
    }
    this.onchange();
  }
}

const short = (text, width) => (text.length * 7 > width - 12 ? `${text.slice(0, Math.floor((width - 12) / 7) - 1)}…` : text);

function duration(us) {
  if (!(us >= 0)) return "–";
  if (us < 1_000) return `${Math.round(us)} µs`;
  return us < 1_000_000 ? `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms` : `${(us / 1_000_000).toFixed(1)} s`;
}
