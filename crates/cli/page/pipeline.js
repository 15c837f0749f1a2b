// The pipeline that our media runs through: which one, what it looks like, and how long each node takes.

import { el, setText, sleep, svg } from "./dom.js";
import { layOut } from "./graph.js";
import { Knobs } from "./knobs.js";

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
  #output = null;
  /** What was chosen, until the bot says that it runs: `{name, output}`. */
  #wanted = null;
  #peerId = null;
  #run = 0;
  #drawn = null;
  #labels = new Map();
  #parts = new Map();

  /**
   * @param {{select: HTMLSelectElement, output: HTMLSelectElement, about: HTMLElement, graph: HTMLElement,
   *   knobs: HTMLElement, said: HTMLElement, losses: HTMLElement, status: HTMLElement}} parts
   * @param {object} info
   */
  constructor(parts, info) {
    Object.assign(this, parts);
    this.info = info;
    this.onchange = () => {};
    /** Who is in the same session, ourselves among them; empty if we have one of our own. */
    this.peers = [];
    this.knobs = new Knobs(parts.knobs, (node, changes) => this.#turn(node, changes));
    for (const { name, title, shared } of info.pipelines ?? []) {
      this.select.append(el("option", { value: name, text: `${title || name}${shared ? " (together)" : ""}` }));
    }
    this.#show(info.default_pipeline, null);
    this.select.addEventListener("change", () => this.set(this.select.value).catch(() => {}));
    this.output.addEventListener("change", () => this.set(this.#name, this.output.value).catch(() => {}));
  }

  /** The name of the one that runs, or will. */
  get name() {
    return this.#wanted?.name ?? this.#name;
  }

  /** The output that comes back, or will. */
  get chosenOutput() {
    return this.#wanted?.output ?? this.#output;
  }

  /** Chooses a pipeline, and one of its outputs if it has several: at once if we are connected, else for when we are. Rejects
   * in words. */
  async set(name, output = null) {
    const pipeline = this.#find(name);
    if (!pipeline) throw new Error(`there is no pipeline named ${name}`);
    if (output !== null && !pipeline.outputs?.includes(output)) throw new Error(`the pipeline ${name} has no output ${output}`);
    this.#wanted = { name, output: output ?? pipeline.outputs?.[0] ?? null };
    this.#show(name, this.#wanted.output);
    this.onchange();
    if (this.#peerId) await this.#apply();
  }

  #find(name) {
    return (this.info.pipelines ?? []).find((pipeline) => pipeline.name === name);
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
    this.peers = [];
    for (const label of this.#labels.values()) setText(label, "");
    setText(this.said, "");
    setText(this.losses, "");
    this.knobs.show([]);
  }

  async #apply() {
    const run = this.#run;
    const wanted = this.#wanted;
    const until = performance.now() + PATIENCE;
    while (run === this.#run && this.#wanted === wanted) {
      const { ok, status, body } = await this.#ask("PUT", "", wanted);
      if (ok) {
        if (this.#wanted === wanted) this.#figures(body);
        return setText(this.status, "");
      }
      // It does not know us yet, it is about to change something for us already, or it does not answer.
      if (![404, 409, 0].includes(status) || performance.now() > until) {
        setText(this.status, `The pipeline was not changed: ${body.error}`);
        this.#wanted = null;
        throw new Error(body.error);
      }
      await sleep(250);
    }
  }

  /** Changes params of a node. Rejects in words. */
  async #turn(node, changes) {
    const run = this.#run;
    const { ok, body } = await this.#ask("PATCH", `/nodes/${encodeURIComponent(node)}`, changes);
    if (!ok) throw new Error(body.error);
    if (run === this.#run) this.#figures(body);
  }

  async #poll(run) {
    const { ok, body } = await this.#ask("GET", "");
    if (run !== this.#run || !ok) return;
    this.#figures(body);
  }

  async #ask(method, path, json) {
    const options = { method, signal: AbortSignal.timeout(5_000), cache: "no-store" };
    if (json) Object.assign(options, { body: JSON.stringify(json), headers: { "content-type": "application/json" } });
    try {
      const response = await fetch(`/api/peers/${encodeURIComponent(this.#peerId)}/pipeline${path}`, options);
      const body = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
      return { ok: response.ok, status: response.status, body };
    } catch {
      return { ok: false, status: 0, body: { error: "the server does not answer" } };
    }
  }

  #show(name, output) {
    const pipeline = this.#find(name);
    const outputs = pipeline?.outputs ?? [];
    this.#name = name;
    this.#output = output ?? outputs[0] ?? null;
    this.select.value = name ?? "";
    if (pipeline && this.#drawn !== pipeline) {
      this.output.replaceChildren(...outputs.map((id) => el("option", { value: id, text: id })));
      this.output.closest("label").hidden = outputs.length < 2;
      this.#draw(pipeline);
      this.knobs.draw(pipeline);
    }
    this.output.value = this.#output ?? "";
    this.#describe(pipeline);
    this.#mark(pipeline);
  }

  #describe(pipeline) {
    const others = this.peers.filter((id) => id !== this.#peerId);
    const company = others.length ? `With you: ${others.join(", ")}.` : "Nobody else has chosen it yet.";
    const together = pipeline?.shared && this.#peerId ? ` All who choose it are in it together. ${company}` : "";
    setText(this.about, `${pipeline?.description ?? ""}${together}`.trim());
  }

  /** What does not lead to the output that comes back stands aside. */
  #mark(pipeline) {
    if ((pipeline?.outputs ?? []).length < 2) return;
    const leads = new Set([this.#output]);
    for (let size = 0; size < leads.size; ) {
      size = leads.size;
      for (const { from, to } of pipeline.connections ?? []) if (leads.has(to)) leads.add(from);
    }
    for (const { ids, nodes } of this.#parts.values()) {
      for (const node of nodes) node.classList.toggle("aside", !ids.every((id) => leads.has(id)));
    }
  }

  #draw(pipeline) {
    this.#drawn = pipeline;
    this.#labels.clear();
    this.#parts.clear();
    const { width, height, boxes, lines } = layOut(pipeline);
    const title = `${pipeline.title || pipeline.name}: ${(pipeline.nodes ?? []).map((node) => node.id).join(", ") || "nothing in between"}`;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, style: `max-width:${width}px` });
    for (const { from, to, path } of lines) {
      const nodes = [svg("path", { class: "edge", d: path }), svg("path", { class: "flow", d: path })];
      this.#parts.set(`${from}\n${to}`, { ids: [from, to], nodes });
      picture.append(...nodes);
    }
    for (const box of boxes) {
      const node = this.#box(box);
      this.#parts.set(box.id, { ids: [box.id], nodes: [node] });
      picture.append(node);
    }
    this.graph.replaceChildren(picture);
  }

  #box(box) {
    const middle = box.x + box.width / 2;
    const round = box.kind === "end" ? box.height / 2 : 10;
    const group = svg("g", { class: `node ${box.kind}` }, svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: round }));
    if (box.kind === "end") {
      group.append(svg("text", { class: "id", x: middle, y: box.y + box.height / 2, text: short(box.label, box.width) }));
      return group;
    }
    const figure = svg("text", { class: "figure", x: middle, y: box.y + box.height - 11 });
    this.#labels.set(box.id, figure);
    group.append(svg("text", { class: "id", x: middle, y: box.y + 15, text: short(box.id, box.width) }), svg("text", { class: "type", x: middle, y: box.y + 31, text: short(box.type, box.width) }), figure);
    return group;
  }

  #figures(body) {
    // While a change is on its way the answer may still be about what was before.
    const { name, output = null } = body;
    if (this.#wanted && (name !== this.#wanted.name || output !== this.#wanted.output)) return;
    this.peers = body.peers ?? [];
    this.#show(name, output);
    this.#wanted ??= { name, output };
    const running = body.nodes ?? [];
    for (const [id, label] of this.#labels) {
      const node = running.find((one) => one.id === id);
      setText(label, node ? figure(node) : "");
      label.classList.toggle("bad", node?.failures > 0);
    }
    setText(this.said, body.said ? `It said ${body.said.type}, ${Math.round(body.said.ago_ms / 1_000)} s ago.` : "");
    setText(this.losses, losses(body));
    this.knobs.show(running);
    this.onchange();
  }
}

/** What did not go all the way, in words; empty if everything did. */
function losses({ audio_frames_dropped: audio, video_frames_dropped: video, inputs_refused: refused, outputs_dropped: outputs }) {
  const parts = [];
  if (audio > 0) parts.push(`${audio} audio frames not taken in time`);
  if (video > 0) parts.push(`${video} pictures not taken in time`);
  if (refused > 0) parts.push(`${refused} inputs that its manifest does not declare`);
  if (outputs > 0) parts.push(`${outputs} outputs dropped before slow peers`);
  return parts.length ? `Lost so far: ${parts.join(", ")}.` : "";
}

function figure({ calls, ticks, mean_us: mean, queued, dropped, failures, timeouts }) {
  const parts = [calls + ticks > 0 ? `${duration(mean)} mean` : "idle"];
  if (queued > 0) parts.push(`${queued} waiting`);
  if (dropped > 0) parts.push(`${dropped} dropped`);
  if (failures > 0) parts.push(timeouts > 0 ? `${failures} failed, ${timeouts} too slow` : `${failures} failed`);
  return parts.join(" · ");
}

const short = (text, width) => (text.length * 7 > width - 12 ? `${text.slice(0, Math.floor((width - 12) / 7) - 1)}…` : text);

function duration(us) {
  if (!(us >= 0)) return "–";
  if (us < 1_000) return `${Math.round(us)} µs`;
  return us < 1_000_000 ? `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms` : `${(us / 1_000_000).toFixed(1)} s`;
}
