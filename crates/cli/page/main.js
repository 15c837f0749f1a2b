// Puts the parts together: the form, the room, the tiles, the panels, and the handle for automation.

import { Chat } from "./chat.js";
import { CODEC_NAMES, codecAvailable, codecFrom } from "./codecs.js";
import { Controls } from "./controls.js";
import { byId, el, setText, sleep } from "./dom.js";
import { JoinForm } from "./join.js";
import { Media } from "./media.js";
import { Notices } from "./notices.js";
import { fetchInfo, PipelinePanel } from "./pipeline.js";
import { Problems } from "./problems.js";
import { Room } from "./room.js";
import { Tiles } from "./view.js";

const params = new URLSearchParams(location.search);
const number = (name, least, most) => {
  const value = Number(params.get(name));
  return params.has(name) && value >= least && value <= most ? value : undefined;
};

const problems = new Problems();
const media = new Media({
  width: number("width", 16, 3840),
  height: number("height", 16, 2160),
  fps: number("fps", 1, 120),
  tone: number("tone", 20, 20_000),
});
const form = new JoinForm(params, () => join().catch(() => {}));
const notices = new Notices(byId("notices"), problems, { useTestPicture, retry: (id) => room?.call(id), hear: () => tiles.unblock() });
const chatParts = { log: byId("chat-log"), form: byId("chat-form"), to: byId("chat-to"), text: byId("chat-text"), file: byId("chat-file"), status: byId("chat-status") };
const chat = new Chat(chatParts, () => room);
const controls = new Controls({ media, leave, addVideo, removeVideo });
const tiles = new Tiles(byId("grid"), {
  call: (id) => room?.call(id),
  hangUp: (id) => room?.hangUp(id),
  blocked: () => problems.report("autoplay-blocked"),
  unblocked: () => problems.solve("autoplay-blocked"),
});

let room = null;
let joining = null;
let info = null;
let pipeline = null;
let codec = codecFrom(params.get("codec"));
const ready = prepare();

async function prepare() {
  info = await fetchInfo();
  if (info?.room && !params.has("room")) form.room = info.room;
  if (info?.pipelines?.length) {
    const parts = { select: byId("pipeline"), output: byId("output"), about: byId("pipeline-about"), graph: byId("graph"), knobs: byId("knobs"), said: byId("pipeline-said"), losses: byId("pipeline-losses"), status: byId("pipeline-status") };
    pipeline = new PipelinePanel(parts, info);
    pipeline.onchange = refresh;
    if (params.has("pipeline")) pipeline.set(params.get("pipeline"), params.get("output")).catch((error) => setText(byId("pipeline-status"), `${error.message}.`));
  } else byId("pipeline-field").hidden = true;
}

function useCodec(name) {
  const wanted = codecFrom(name);
  codec = codecAvailable(wanted) ? wanted : "auto";
  if (codec !== wanted) problems.report("codec-missing", { text: `This browser does not have ${CODEC_NAMES[wanted]}.` });
  byId("codec").value = codec;
  room?.updateCodec();
}

for (const [value, text] of Object.entries(CODEC_NAMES)) {
  const missing = !codecAvailable(value);
  byId("codec").append(el("option", { value, text: missing ? `${text} (not in this browser)` : text, disabled: missing }));
}
byId("codec").addEventListener("change", (event) => useCodec(event.target.value));
useCodec(codec);

/** Joins with what the form says. */
function join() {
  if (room) return Promise.resolve();
  joining ??= enter().finally(() => (joining = null));
  return joining;
}

async function enter() {
  form.clearProblem();
  const wanted = form.read();
  if (!wanted) throw new Error("name or room is not filled in as it should be");
  if (!globalThis.RTCPeerConnection) return refuse("no-webrtc");
  form.busy(true);
  try {
    await ready;
    const { missing } = await media.open(wanted.source, wanted.withVideo).catch((error) => refuse(error.code));
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/signal`;
    room = new Room({ url, name: wanted.name, room: wanted.room, media, codec: () => codec, problems });
    listen(room);
    show(true);
    if (missing) {
      const [device, part] = media.video ? ["microphone", "sound"] : ["camera", "picture"];
      const words = { "no-camera": `No ${device} was found.`, "device-busy": `The ${device} is in use by another program.` };
      const hint = `You are in without ${part}. Plug in what is missing and join again, or use the test picture.`;
      problems.report(missing.code, { text: words[missing.code], hint });
    }
    await room.join().catch((error) => refuse(codeOf(error), error));
    refresh();
  } catch (error) {
    room?.leave();
    notices.clear();
    room = null;
    media.close();
    show(false);
    throw error;
  } finally {
    form.busy(false);
  }
}

function codeOf(error) {
  if (error.nameTaken) return "name-taken";
  if (error.code === -32001) return "room-full";
  return "server-unreachable";
}

/** Says why it did not work, on the card. */
function refuse(code, error = null) {
  const unknown = code === "server-unreachable" && error && error.code !== null;
  const problem = problems.report(code, unknown ? { text: `The server refused: ${error.message}`, hint: "" } : {});
  form.showProblem(problem, () => useTestPicture());
  throw Object.assign(new Error(problem.text), { code });
}

function useTestPicture() {
  form.source = "test";
  if (!room) return join().catch(() => {});
  return media.open("test", true).then(refresh);
}

function listen(joined) {
  const current = (listener) => (event) => joined === room && listener(event.detail);
  joined.addEventListener("peers", current(refresh));
  joined.addEventListener("peer", current(refresh));
  joined.addEventListener("state", current(refresh));
  joined.addEventListener("message", current(({ from, data }) => chat.received(from, data)));
  joined.addEventListener("fatal", current((error) => {
    const taken = error.nameTaken ? { text: `“${joined.name}” was taken over by another page.` } : { text: `The server sent you away: ${error.message}`, hint: "Join again." };
    leave();
    form.showProblem(problems.report(error.nameTaken ? "name-taken" : "server-gone", taken), () => {});
  }));
}

/** Ends everything and shows the form again. */
function leave() {
  room?.leave();
  room = null;
  pipeline?.stop();
  media.close();
  chat.clear();
  notices.clear();
  tiles.keepOnly([]);
  show(false);
}

function show(inRoom) {
  byId("lobby").hidden = inRoom;
  byId("stage").hidden = !inRoom;
  byId("where").hidden = byId("signal").hidden = !inRoom;
  document.body.classList.toggle("in-room", inRoom);
  if (inRoom) setText(byId("where"), room.room);
  else form.focus();
}

const isBot = (id) => id === info?.bot && room?.room === info?.room;

/** Brings the page in line with the room. */
function refresh() {
  if (!room) return;
  const test = media.source === "test";
  tiles.add("self", "self", { name: room.name }).updateSelf(media, room.name);
  const entries = [...room.peers.values()];
  const together = (pipeline?.peers ?? []).filter((id) => id !== room.name);
  for (const entry of entries) {
    const bot = isBot(entry.id);
    // A tone nobody asked to hear is not played.
    const tile = tiles.add(entry.id, bot ? "bot" : "peer", { name: entry.id, muted: bot && test });
    tile.update(entry);
    // One's own voice coming back is loud enough at less; those of others are not.
    if (bot) tile.suggestVolume(together.length ? 1 : 0.4);
    else tile.hearElsewhere(together.includes(entry.id));
  }
  tiles.keepOnly(["self", ...entries.map(({ id }) => id)]);
  chat.setPeers(entries.filter(({ call }) => call?.messages.state === "open").map(({ id }) => id));
  controls.update();
  const { state } = room.signaling;
  setText(byId("signal"), { connected: "", connecting: "Reconnecting to the server…", closed: "Not connected" }[state]);
  byId("signal").dataset.state = state;
  const bot = entries.find(({ id, call }) => isBot(id) && call?.connection === "connected");
  if (pipeline && bot) pipeline.start(room.name);
  else pipeline?.stop();
}

media.addEventListener("change", refresh);
media.addEventListener("lost", ({ detail }) => problems.report("no-camera", { text: detail === "video" ? "The camera went away." : "The microphone went away." }));

async function addVideo() {
  try {
    await media.addVideo();
  } catch (error) {
    problems.report(error.code ?? "no-camera");
    throw error;
  }
}

function removeVideo() {
  media.removeVideo();
}

async function watchFigures() {
  for (;;) {
    await sleep(1_000);
    if (!room) continue;
    const settings = media.video?.getSettings() ?? {};
    const size = settings.width ? `${settings.width}×${settings.height}` : "";
    const fps = settings.frameRate ? `${Math.round(settings.frameRate)} frames/s` : "";
    const source = { camera: "camera", test: "test picture", none: "" }[media.source];
    tiles.get("self")?.figures.describe(media.video ? [source, size, fps].filter(Boolean).join(" · ") : "");
    await Promise.all([...room.peers.values()].map(async ({ id, call, meter }) => {
      const stats = call?.connection === "connected" ? await meter.tick(call).catch(() => null) : null;
      tiles.get(id)?.figures.show(stats, meter.history);
    }));
  }
}
watchFigures();
chat.onunread = () => controls.unread();

// The server tells the others at once, instead of after it noticed.
window.addEventListener("pagehide", () => room?.leave());
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

const callOf = (id) => {
  const call = room?.peers.get(id)?.call;
  if (!call) throw new Error(`there is no call to ${id}`);
  return call;
};

/** For automation, and for the console. */
window.remotemedia = {
  state: () => ({
    joined: Boolean(room) && room.signaling.state !== "closed" && !joining,
    name: room?.name ?? form.name,
    room: room?.room ?? form.room,
    signaling: room?.signaling.state ?? "closed",
    pipeline: pipeline?.name ?? null,
    output: pipeline?.chosenOutput ?? null,
    together: pipeline?.peers ?? [],
    codec,
  }),
  peers: () => [...(room?.peers.values() ?? [])].map(({ id, call }) => ({
    id,
    connection: call?.connection ?? "closed",
    ice: call?.pc?.iceConnectionState ?? "closed",
    channel: call?.messages.state ?? "none",
    hasVideo: call?.hasVideo ?? false,
    hasAudio: call?.hasAudio ?? false,
  })),
  join,
  leave,
  call: (id) => room.call(id),
  hangUp: (id) => room.hangUp(id),
  send: (id, data) => chat.send(id, data),
  messages: () => chat.list(),
  restartIce: (id) => callOf(id).restartIce(),
  setCodec: useCodec,
  setPipeline: (name, output) => (pipeline ? pipeline.set(name, output) : Promise.reject(new Error("there are no pipelines"))),
  addVideo,
  removeVideo,
  mute: (kind, muted) => media.mute(kind, muted),
  stats: (id) => room.peers.get(id).meter.read(callOf(id)),
  problems: () => problems.list(),
};

if (params.has("join")) ready.then(join).catch((error) => console.warn("joining:", error.message));
