// What went wrong, in words, and what to do about it.

const TEXTS = {
  "no-camera": ["No camera or microphone was found.", "Plug one in and try again, or join with the test picture."],
  "permission-denied": [
    "The browser was not allowed to use the camera or the microphone.",
    "Allow it at the left of the address bar and try again, or join with the test picture.",
  ],
  "device-busy": [
    "The camera or the microphone is in use by another program.",
    "Close that program and try again, or join with the test picture.",
  ],
  "insecure-context": [
    "Browsers give camera and microphone to secure pages only.",
    "Open this page through https, or as http://localhost; or join with the test picture.",
  ],
  "no-webrtc": ["This browser cannot make calls.", "Use a current Chrome, Edge, Firefox or Safari with WebRTC switched on."],
  "server-unreachable": ["The server does not answer.", "See whether “remotemedia serve” is running, then join again."],
  "server-gone": [
    "The connection to the server is lost.",
    "This page reconnects by itself, and calls go on meanwhile. If it takes long, see whether “remotemedia serve” is running.",
  ],
  "name-taken": ["Somebody in this room has that name already.", "Choose another name and join again."],
  "room-full": ["The room is full.", "Choose another room, or wait until somebody leaves."],
  "ice-failed": [
    "No network path was found to this peer.",
    "A firewall may be in the way; a TURN server helps. Or try again.",
  ],
  "peer-busy": [
    "This peer talks to as many others as it may.",
    "It is called again when somebody leaves.",
  ],
  "codec-missing": ["This browser does not have the chosen codec.", "The call uses another one."],
  "no-common-codec": ["This browser and the peer have no video codec in common.", "Sound and messages go on."],
  "peer-gone": ["The peer left without a word.", "You are connected again as soon as it comes back."],
  "autoplay-blocked": ["The browser plays no sound before you touch the page.", "Click to hear."],
};

/** Whether the test picture is a way out of that problem. */
export const testPictureHelps = (code) => ["no-camera", "permission-denied", "device-busy", "insecure-context"].includes(code);

/**
 * The problems so far.
 *
 * Events: `problem` (detail: `{code, text, hint, at, peer, sticky}`), `solved` (detail: `{code, peer}`).
 */
export class Problems extends EventTarget {
  #all = [];

  /**
   * Tells the user of a problem.
   * @param {string} code
   * @param {{text?: string, hint?: string, peer?: string}} [more] other words than usual, and whom it is about
   */
  report(code, more = {}) {
    const [text, hint] = TEXTS[code] ?? [code, ""];
    const problem = { code, text: more.text ?? text, hint: more.hint ?? hint, peer: more.peer ?? null, at: Date.now() };
    this.#all.push(problem);
    if (this.#all.length > 200) this.#all.shift();
    this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    return problem;
  }

  /** It is no problem any more. */
  solve(code, peer = null) {
    this.dispatchEvent(new CustomEvent("solved", { detail: { code, peer } }));
  }

  /** All of them, oldest first. */
  list() {
    return this.#all.map(({ code, text, hint, at }) => ({ code, text, hint, at }));
  }
}
