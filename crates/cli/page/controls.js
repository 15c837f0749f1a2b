// The bar at the bottom, and the panels it opens.

import { byId, icon } from "./dom.js";

const NARROW = matchMedia("(max-width: 900px)");

/** Microphone, camera, panels, leaving. */
export class Controls {
  /** @param {{media: import("./media.js").Media, leave: () => void, addVideo: () => Promise<void>, removeVideo: () => void}} options */
  constructor({ media, leave, addVideo, removeVideo }) {
    this.media = media;
    this.panels = { pipeline: byId("pipeline-panel"), chat: byId("chat-panel") };
    this.buttons = { pipeline: byId("show-pipeline"), chat: byId("show-chat") };
    byId("leave").addEventListener("click", leave);
    byId("mic").addEventListener("click", () => media.mute("audio", !media.muted.audio));
    byId("camera").addEventListener("click", () => (media.video ? removeVideo() : addVideo().catch(() => {})));
    for (const name of Object.keys(this.panels)) {
      this.buttons[name].addEventListener("click", () => this.toggle(name));
      this.panels[name].querySelector("[data-close]").addEventListener("click", () => this.toggle(name, false));
      this.panels[name].addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        this.toggle(name, false);
      });
      this.toggle(name, !NARROW.matches, false);
    }
    // On a narrow window the panels lie over the picture: they must not be there unasked.
    NARROW.addEventListener("change", () => Object.keys(this.panels).forEach((name) => this.toggle(name, !NARROW.matches, false)));
  }

  /** Opens or closes a panel. */
  toggle(name, open = this.panels[name].hidden, focus = true) {
    this.panels[name].hidden = !open;
    this.buttons[name].setAttribute("aria-expanded", String(open));
    if (open && NARROW.matches) for (const other of Object.keys(this.panels)) if (other !== name) this.toggle(other, false, false);
    const all = Object.values(this.panels).every((panel) => panel.hidden);
    byId("stage").classList.toggle("without-side", all);
    if (open && name === "chat") this.buttons.chat.querySelector(".dot").hidden = true;
    if (!focus) return;
    if (!open) this.buttons[name].focus();
    else this.panels[name].focus({ preventScroll: true });
  }

  /** A message came: says so if nobody sees it. */
  unread() {
    if (this.panels.chat.hidden) this.buttons.chat.querySelector(".dot").hidden = false;
  }

  /** Brings the buttons in line with what is sent. */
  update() {
    const { media } = this;
    this.#set(byId("mic"), "mic", Boolean(media.audio) && !media.muted.audio, ["Mute the microphone", "Unmute the microphone"], !media.audio);
    this.#set(byId("camera"), "camera", Boolean(media.video), ["Stop the picture", "Send a picture"], false);
  }

  #set(button, name, on, [whenOn, whenOff], disabled) {
    const state = `${name} ${on} ${disabled}`;
    if (button.dataset.state === state) return;
    button.dataset.state = state;
    const label = on ? whenOn : whenOff;
    button.replaceChildren(icon(on ? name : `${name}-off`));
    button.classList.toggle("off", !on);
    // The label says what a click does; a pressed state beside it would say the opposite.
    button.setAttribute("aria-label", label);
    button.title = label;
    button.disabled = disabled;
  }
}
