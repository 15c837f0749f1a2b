// Problems during a call, on cards that can be put away.

import { el, icon } from "./dom.js";
import { testPictureHelps } from "./problems.js";

const MOST = 4;
/** What passes by itself need not be put away by hand. */
const SHORT = { "peer-gone": 8_000, "codec-missing": 12_000, "no-common-codec": 12_000 };

/** Shows problems as they come. */
export class Notices {
  #cards = new Map();

  /**
   * @param {HTMLElement} list
   * @param {import("./problems.js").Problems} problems
   * @param {{useTestPicture: () => void, retry: (id: string) => void, hear: () => void}} actions
   */
  constructor(list, problems, actions) {
    this.list = list;
    this.actions = actions;
    problems.addEventListener("problem", ({ detail }) => this.#show(detail));
    problems.addEventListener("solved", ({ detail }) => this.#hide(key(detail)));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#hide([...this.#cards.keys()].at(-1)));
  }

  clear() {
    for (const name of [...this.#cards.keys()]) this.#hide(name);
  }

  #show(problem) {
    // Before joining, the card says it.
    if (!document.body.classList.contains("in-room")) return;
    const name = key(problem);
    this.#hide(name);
    const about = problem.code === "ice-failed" ? `${problem.peer}: ` : "";
    const buttons = [];
    if (testPictureHelps(problem.code)) buttons.push(this.#button("Use the test picture", name, () => this.actions.useTestPicture()));
    if (problem.code === "autoplay-blocked") buttons.push(this.#button("Play sound", name, () => this.actions.hear()));
    if (["ice-failed", "peer-busy"].includes(problem.code)) buttons.push(this.#button("Try again", name, () => this.actions.retry(problem.peer)));
    const close = el("button", { class: "small", type: "button", "aria-label": "Put away", on: { click: () => this.#hide(name) } }, icon("close"));
    const words = el("p", {}, el("strong", { text: about + problem.text }), ` ${problem.hint}`);
    const card = el("div", { class: "notice", "data-code": problem.code }, words, ...buttons, close);
    this.list.append(card);
    const timer = SHORT[problem.code] ? setTimeout(() => this.#hide(name), SHORT[problem.code]) : 0;
    this.#cards.set(name, { card, timer });
    while (this.#cards.size > MOST) this.#hide(this.#cards.keys().next().value);
  }

  #button(text, name, act) {
    const listener = () => (this.#hide(name), act());
    return el("button", { class: "secondary", type: "button", text, on: { click: listener } });
  }

  #hide(name) {
    const shown = this.#cards.get(name);
    if (!shown) return;
    clearTimeout(shown.timer);
    shown.card.remove();
    this.#cards.delete(name);
  }
}

const key = ({ code, peer }) => `${code} ${peer ?? ""}`;
