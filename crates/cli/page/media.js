// What we send: camera and microphone, or the test picture and tone, or nothing.

import { testPicture, testTone } from "./test-picture.js";

/** Why a device could not be opened, as a code of problems.js. */
export class MediaError extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.name = "MediaError";
    this.code = code;
  }
}

const CODES = {
  NotAllowedError: "permission-denied",
  SecurityError: "permission-denied",
  NotFoundError: "no-camera",
  OverconstrainedError: "no-camera",
  NotReadableError: "device-busy",
  AbortError: "device-busy",
};

/**
 * The media of this page: `audio` and `video` are the tracks that are sent now, or null; `stream` holds both.
 *
 * Events: `change`, `lost` (detail: "audio" or "video": the device went away).
 */
export class Media extends EventTarget {
  #stops = { audio: null, video: null };

  /** @param {{width?: number, height?: number, fps?: number, tone?: number}} options */
  constructor(options = {}) {
    super();
    this.options = options;
    this.source = "none";
    this.stream = new MediaStream();
    this.audio = null;
    this.video = null;
    this.muted = { audio: false, video: false };
  }

  /**
   * Opens a source. With a camera it is content with a part: then `missing` says what is not there.
   * @param {"camera"|"test"|"none"} source
   * @param {boolean} withVideo
   * @returns {Promise<{missing: ?MediaError}>}
   */
  async open(source, withVideo) {
    this.close();
    this.source = source;
    let missing = null;
    if (source === "test") {
      if (withVideo) this.#set("video", testPicture(this.options));
      this.#set("audio", testTone(this.options.tone));
    } else if (source === "camera") missing = await this.#openDevices(withVideo);
    this.#changed();
    return { missing };
  }

  async #openDevices(withVideo) {
    try {
      await this.#devices({ audio: true, video: withVideo });
      return null;
    } catch (error) {
      if (!withVideo || ["insecure-context", "permission-denied"].includes(error.code)) throw error;
      // One of the two may be missing or in use: half a call is better than none.
      for (const part of [{ audio: true, video: false }, { audio: false, video: true }]) {
        try {
          await this.#devices(part);
          return error;
        } catch {
          // The first error tells more.
        }
      }
      throw error;
    }
  }

  async #devices({ audio, video }) {
    const devices = navigator.mediaDevices;
    if (!devices?.getUserMedia) throw new MediaError(window.isSecureContext ? "no-webrtc" : "insecure-context");
    const { width = 640, height = 360, fps = 30 } = this.options;
    const wanted = {
      // The pipeline's sound comes back through the loudspeaker: without this it would howl.
      audio: audio && { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      video: video && { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps } },
    };
    let stream;
    try {
      stream = await devices.getUserMedia(wanted);
    } catch (error) {
      throw new MediaError(CODES[error.name] ?? "no-camera", error.message);
    }
    for (const track of stream.getTracks()) {
      track.addEventListener("ended", () => this.#lost(track));
      this.#set(track.kind, { track, stop: () => track.stop() });
    }
  }

  /** Adds the picture of the source, in the middle of a call too. */
  async addVideo() {
    if (this.video) return;
    if (this.source === "none") this.source = "test";
    if (this.source === "test") this.#set("video", testPicture(this.options));
    else await this.#devices({ audio: false, video: true });
    this.#changed();
  }

  /** Stops the picture: the camera is released. */
  removeVideo() {
    this.#clear("video");
    this.#changed();
  }

  /** Sends silence or black instead, without telling the peers. */
  mute(kind, muted) {
    this.muted[kind] = Boolean(muted);
    if (this[kind]) this[kind].enabled = !muted;
    this.#changed();
  }

  /** Releases everything. */
  close() {
    this.#clear("audio");
    this.#clear("video");
    this.source = "none";
  }

  #set(kind, { track, stop }) {
    this.#clear(kind);
    track.enabled = !this.muted[kind];
    this[kind] = track;
    this.#stops[kind] = stop;
    this.stream.addTrack(track);
  }

  #clear(kind) {
    if (!this[kind]) return;
    this.stream.removeTrack(this[kind]);
    this.#stops[kind]?.();
    this[kind] = null;
    this.#stops[kind] = null;
  }

  #lost(track) {
    if (this[track.kind] !== track) return;
    this.#clear(track.kind);
    this.#changed();
    this.dispatchEvent(new CustomEvent("lost", { detail: track.kind }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
