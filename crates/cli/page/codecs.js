// Which video codecs there are, and in which order they are offered.

const MIME = { vp8: "video/vp8", vp9: "video/vp9", h264: "video/h264" };

/** What people call the codecs. */
export const CODEC_NAMES = { auto: "Automatic", vp8: "VP8", vp9: "VP9", h264: "H.264" };

/** `name` as a codec of this page, else "auto". */
export function codecFrom(name) {
  const known = String(name ?? "").toLowerCase().replace(".", "");
  return Object.hasOwn(CODEC_NAMES, known) ? known : "auto";
}

function capabilities() {
  // What can be received is what a description may name.
  return globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs ?? [];
}

/** Whether this browser has a codec. */
export function codecAvailable(name) {
  return name === "auto" || capabilities().some((codec) => codec.mimeType.toLowerCase() === MIME[name]);
}

/**
 * The codecs for `setCodecPreferences`: the wanted one first, or with `only` nothing but that one and the formats for
 * repairing it. Empty means the browser's own order.
 */
export function codecPreferences(name, only = false) {
  const all = capabilities();
  if (name === "auto" || !codecAvailable(name)) return [];
  const chosen = all.filter((codec) => codec.mimeType.toLowerCase() === MIME[name]);
  chosen.sort((a, b) => rank(a) - rank(b));
  const helpers = all.filter((codec) => /\/(rtx|red|ulpfec|flexfec-03)$/i.test(codec.mimeType));
  const others = all.filter((codec) => !chosen.includes(codec) && !helpers.includes(codec));
  return only ? [...chosen, ...helpers] : [...chosen, ...others, ...helpers];
}

/** H.264 constrained baseline in packetization mode 1, and VP9 of 8 bits, are what everyone has. */
function rank(codec) {
  const format = codec.sdpFmtpLine ?? "";
  if (/profile-level-id=42e0/i.test(format)) return /packetization-mode=1/.test(format) ? 0 : 2;
  if (/profile-level-id=4200/i.test(format)) return /packetization-mode=1/.test(format) ? 1 : 3;
  if (/profile-id=[1-9]/.test(format)) return 5;
  return 4;
}

/** The names of this page's codecs in the video sections of a description. */
export function codecsIn(sdp) {
  const found = new Set();
  for (const section of sdp.split(/^m=/m).filter((part) => part.startsWith("video"))) {
    for (const match of section.matchAll(/^a=rtpmap:\d+ (\w+)\//gm)) {
      const name = match[1].toLowerCase();
      if (Object.hasOwn(MIME, name)) found.add(name);
    }
  }
  return found;
}

/** The video sections of a description that are in use: a bundled one has no port of its own either. */
function videoSections(sdp) {
  const sections = sdp.split(/^(?=m=)/m).filter((section) => section.startsWith("m=video"));
  return sections.filter((section) => !section.startsWith("m=video 0") || /^a=bundle-only/m.test(section));
}

/** Whether an offer has video in it. */
export function offersVideo(sdp) {
  return videoSections(sdp).length > 0;
}

/** Whether an answer turns down all the video that was offered. */
export function videoRefused(sdp) {
  return videoSections(sdp).length === 0;
}
