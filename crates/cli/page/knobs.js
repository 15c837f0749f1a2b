// The knobs of a pipeline's nodes: what of each can be changed while it runs.

import { el, setText } from "./dom.js";

/** A change is sent at most so often while a slider moves. */
const SPACING = 120;
/** What somebody else sets is shown when a knob was left alone for so long. */
const HOLD = 1_000;
/** A slider over a wider range could not be set to anything in particular. */
const WIDEST = 500;
/** So many are shown without being asked for. */
const SHOWN = 4;

/** The knobs of one pipeline. */
export class Knobs {
  #rows = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {(node: string, changes: object) => Promise<void>} send rejects in words
   */
  constructor(parent, send) {
    Object.assign(this, { parent, send });
  }

  /** Shows those of a pipeline, without values so far. */
  draw({ nodes = [] }) {
    this.#rows.clear();
    const turnable = nodes.filter(({ params = [] }) => params.length > 0);
    const open = turnable.reduce((sum, { params }) => sum + params.length, 0) <= SHOWN;
    this.parent.replaceChildren(...turnable.map((node) => this.#group(node, open)));
    this.show([]);
  }

  #group({ id, type, params }, open) {
    const problem = el("p", { class: "inline-problem", role: "status" });
    const rows = params.map((param) => {
      const row = new Row(id, param, (value) => this.#change(id, param.name, value, problem));
      this.#rows.set(key(id, param.name), row);
      return row.node;
    });
    return el("details", { class: "knobs", "data-node": id, open }, el("summary", {}, el("b", { text: id }), el("span", { text: type })), ...rows, problem);
  }

  async #change(node, name, value, problem) {
    try {
      await this.send(node, { [name]: value });
      setText(problem, "");
    } catch (error) {
      setText(problem, error.message);
    }
  }

  /** What the nodes that run work with; the knobs of others can be turned by nobody. */
  show(nodes) {
    const running = new Map(nodes.map(({ id, params }) => [id, params]));
    for (const row of this.#rows.values()) row.show(running.get(row.of)?.[row.name], running.get(row.of) != null);
    for (const group of this.parent.children) group.classList.toggle("off", running.get(group.dataset.node) == null);
  }
}

/** One knob. */
class Row {
  #held = 0;
  #timer = 0;
  #sentAt = 0;
  #next = undefined;
  #sending = null;

  constructor(node, param, send) {
    Object.assign(this, { of: node, name: param.name, param, send });
    const label = `${node}: ${words(param)}`;
    const range = param.least === undefined ? "" : `${param.least} to ${param.most}${param.unit ? ` ${param.unit}` : ""}; empty for the default.`;
    const title = [param.description, range].filter(Boolean).join(" ");
    this.inputs = inputsFor(param, label);
    for (const input of this.inputs) {
      // Of a number that is typed only the whole counts: 6 and 64 on the way to 640 would be done, too.
      input.addEventListener(input.type === "number" ? "change" : "input", () => this.#turned(input));
    }
    const name = el("span", { class: "knob-name", text: words(param) });
    this.node = el("div", { class: `knob ${param.kind}`, "data-param": param.name, title }, name, ...this.inputs, param.unit ? el("span", { class: "unit", text: param.unit }) : null);
  }

  /** The value that the node has; null if the param is not given. */
  show(value = null, enabled) {
    for (const input of this.inputs) input.disabled = !enabled;
    // Not while somebody turns it, or while the answer to that is on its way.
    if (performance.now() < this.#held || this.#next !== undefined || this.#sending) return;
    const typing = document.activeElement?.type === "number" ? document.activeElement : null;
    this.#set(value, typing);
  }

  #set(value, except) {
    this.node.classList.toggle("unset", value === null);
    for (const input of this.inputs) {
      if (input === except) continue;
      if (input.type === "checkbox") input.checked = value === true;
      else if (input.type === "range") input.value = value ?? this.param.default ?? Math.min(Math.max(0, this.param.least), this.param.most);
      else input.value = value ?? "";
    }
  }

  #turned(input) {
    this.#held = performance.now() + HOLD;
    const value = read(input, this.param);
    if (value === undefined) return;
    this.#set(value, input);
    this.#next = value;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), Math.max(0, this.#sentAt + SPACING - performance.now()));
  }

  /** One change after the other; of those that come meanwhile only the last. */
  async #flush() {
    if (this.#sending || this.#next === undefined) return;
    const value = this.#next;
    this.#next = undefined;
    this.#sentAt = performance.now();
    this.#sending = this.send(value);
    await this.#sending;
    this.#sending = null;
    if (this.#next !== undefined) this.#flush();
  }
}

const key = (node, name) => `${node}\n${name}`;
const words = ({ name }) => name.replace(/_(db|ms|s|kbps|mb)$/, "").replaceAll("_", " ");

function inputsFor({ kind, least, most, choices }, label) {
  if (kind === "bool") return [el("input", { type: "checkbox", "aria-label": label })];
  if (kind === "choice") {
    const options = choices.map((choice) => el("option", { value: choice, text: choice }));
    return [el("select", { "aria-label": label }, el("option", { value: "", text: "default" }), ...options)];
  }
  const span = most - least;
  const step = kind === "integer" ? 1 : span <= 2 ? 0.01 : span <= 20 ? 0.1 : 0.5;
  const box = el("input", { type: "number", min: least, max: most, step: kind === "integer" ? 1 : "any", placeholder: "–", "aria-label": label });
  if (span > WIDEST) return [box];
  return [el("input", { type: "range", min: least, max: most, step, "aria-label": `${label}, slider` }), box];
}

/** What an input says, null for the default, undefined for what is no value yet. */
function read(input, { kind }) {
  if (input.type === "checkbox") return input.checked;
  if (kind === "choice") return input.value || null;
  if (input.value === "") return input.validity.badInput ? undefined : null;
  const number = Number(input.value);
  return Number.isFinite(number) ? number : undefined;
}
