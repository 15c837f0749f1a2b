// The card on which one says who one is, and what one sends.

import { byId, el } from "./dom.js";
import { testPictureHelps } from "./problems.js";

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const FIRST = ["amber", "cedar", "coral", "ember", "fern", "hazel", "indigo", "jade", "maple", "olive", "pearl", "sage"];
const SECOND = ["finch", "fox", "heron", "lark", "lynx", "otter", "owl", "robin", "seal", "swift", "wren", "yak"];
const one = (list) => list[Math.floor(Math.random() * list.length)];

/** The form. */
export class JoinForm {
  /** @param {URLSearchParams} params @param {() => void} onsubmit */
  constructor(params, onsubmit) {
    this.form = byId("join");
    this.problem = byId("join-problem");
    this.button = byId("join-button");
    // Not the name: a phone would open its keyboard.
    this.next = this.button;
    const remembered = remember("name");
    this.name = params.get("name") ?? remembered ?? `${one(FIRST)}-${one(SECOND)}`;
    this.room = params.get("room") ?? "default";
    this.source = params.get("source") ?? "camera";
    byId("with-video").checked = params.get("video") !== "0";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      onsubmit();
    });
    this.form.addEventListener("change", () => this.#showChoice());
    this.#showChoice();
  }

  get name() {
    return byId("name").value.trim();
  }
  set name(value) {
    byId("name").value = value;
  }
  get room() {
    return byId("room").value.trim();
  }
  set room(value) {
    byId("room").value = value;
  }
  get source() {
    return this.form.elements.source.value;
  }
  set source(value) {
    if (["camera", "test", "none"].includes(value)) this.form.elements.source.value = value;
    this.#showChoice();
  }

  /** What was filled in, or null, and then the form says what is wrong. */
  read() {
    for (const id of ["name", "room"]) {
      const valid = ID.test(this[id]);
      byId(id).setAttribute("aria-invalid", String(!valid));
      if (valid) continue;
      const what = id === "name" ? "The name" : "The room";
      this.showProblem({ text: `${what} must be 1 to 64 letters, digits, - or _.`, hint: "" });
      byId(id).focus();
      return null;
    }
    remember("name", this.name);
    return { name: this.name, room: this.room, source: this.source, withVideo: byId("with-video").checked };
  }

  /** Says what went wrong, and offers the way out if there is one. */
  showProblem({ code, text, hint }, useTestPicture) {
    const help = testPictureHelps(code) && el("button", { type: "button", class: "secondary", text: "Join with the test picture", on: { click: useTestPicture } });
    this.problem.replaceChildren(el("strong", { text }), el("span", { text: ` ${hint}` }), ...(help ? [help] : []));
    this.problem.hidden = false;
    this.next = code === "name-taken" ? byId("name") : help || this.button;
    this.focus();
  }

  clearProblem() {
    this.problem.hidden = true;
    this.next = this.button;
    this.problem.replaceChildren();
  }

  busy(busy) {
    this.button.disabled = busy;
    this.button.textContent = busy ? "Joining…" : "Join";
  }

  /** Goes to what is to be done next. Nothing can be focused while the form is hidden: it is asked for again when shown. */
  focus() {
    this.next.focus({ preventScroll: this.next === this.button });
    this.next.select?.();
  }

  #showChoice() {
    byId("with-video").closest("label").hidden = this.source === "none";
  }
}

/** Storage may be switched off: then nothing is remembered. Each tab has its own name. */
function remember(key, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(key);
    sessionStorage.setItem(key, value);
  } catch {
    // Nothing depends on it.
  }
  return null;
}
