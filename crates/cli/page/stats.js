// getStats(), brought into one shape; rates are differences between two looks.

const HISTORY = 60;

/** Watches the statistics of one call. */
export class Meter {
  #base = null;
  #pc = null;
  #latest = null;

  constructor() {
    /** For the sparklines: one value a second, newest last. */
    this.history = { up: [], down: [], rtt: [], fps: [] };
  }

  /**
   * Reads the statistics.
   * @param {import("./call.js").Call} call
   * @returns {Promise<object>} `{rtt_ms, connect_ms, out, in}`, what is missing is null
   */
  async read(call) {
    const { pc } = call;
    const report = pc ? [...(await pc.getStats()).values()] : [];
    if (pc !== this.#pc) {
      this.#pc = pc;
      this.#base = this.#latest = null;
    }
    const raw = gather(report);
    this.#latest = raw;
    return shape(raw, this.#base, call.connectMs);
  }

  /** To be called once a second: reads, keeps history, and begins the next stretch over which rates are taken. */
  async tick(call) {
    const stats = await this.read(call);
    this.#base = this.#latest;
    this.#keep("up", sum(stats.out.audio.kbps, stats.out.video.kbps));
    this.#keep("down", sum(stats.in.audio.kbps, stats.in.video.kbps));
    this.#keep("rtt", stats.rtt_ms);
    this.#keep("fps", stats.in.video.fps);
    return stats;
  }

  #keep(name, value) {
    const series = this.history[name];
    series.push(value);
    if (series.length > HISTORY) series.shift();
  }
}

const sum = (a, b) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
const orNull = (value) => (Number.isFinite(value) ? value : null);
const round = (value, digits = 0) => (Number.isFinite(value) ? Number(value.toFixed(digits)) : null);

function gather(report) {
  const byId = new Map(report.map((one) => [one.id, one]));
  // After a codec or track change there may be an old stream beside the one that runs: the busiest last one counts.
  const find = (type, kind) => {
    const all = report.filter((one) => one.type === type && (one.kind ?? one.mediaType) === kind);
    return all.reduce((best, one) => (!best || (one.timestamp >= best.timestamp && bytes(one) >= bytes(best)) ? one : best), null);
  };
  const streams = {};
  for (const kind of ["audio", "video"]) {
    streams[kind] = { out: find("outbound-rtp", kind), in: find("inbound-rtp", kind), remote: find("remote-inbound-rtp", kind) };
  }
  const transport = report.find((one) => one.type === "transport" && one.selectedCandidatePairId);
  const pair =
    byId.get(transport?.selectedCandidatePairId) ??
    report.find((one) => one.type === "candidate-pair" && (one.selected || (one.nominated && one.state === "succeeded")));
  return { streams, pair, byId };
}

const bytes = (one) => (one.bytesSent ?? 0) + (one.bytesReceived ?? 0);

function shape(raw, base, connectMs) {
  const { audio, video } = raw.streams;
  const before = base?.streams;
  const rtt = raw.pair?.currentRoundTripTime ?? video.remote?.roundTripTime ?? audio.remote?.roundTripTime;
  const codec = (one) => raw.byId.get(one?.codecId)?.mimeType?.split("/")[1] ?? null;
  return {
    rtt_ms: round(rtt * 1000, 1),
    connect_ms: round(connectMs ?? NaN),
    out: {
      audio: {
        kbps: kbps(audio.out, before?.audio.out),
        packets: orNull(audio.out?.packetsSent),
        lost: orNull(audio.remote?.packetsLost),
      },
      video: {
        kbps: kbps(video.out, before?.video.out),
        fps: rate(video.out, before?.video.out, "framesEncoded") ?? orNull(video.out?.framesPerSecond),
        width: orNull(video.out?.frameWidth),
        height: orNull(video.out?.frameHeight),
        codec: codec(video.out),
        frames: orNull(video.out?.framesEncoded),
        packets: orNull(video.out?.packetsSent),
        lost: orNull(video.remote?.packetsLost),
        rtx: orNull(video.out?.retransmittedPacketsSent),
        nack: orNull(video.out?.nackCount),
        pli: orNull(video.out?.pliCount),
        keyframes: orNull(video.out?.keyFramesEncoded),
        estimate_kbps: round(raw.pair?.availableOutgoingBitrate / 1000),
      },
    },
    in: {
      audio: {
        kbps: kbps(audio.in, before?.audio.in),
        packets: orNull(audio.in?.packetsReceived),
        lost: orNull(audio.in?.packetsLost),
        concealed: orNull(audio.in?.concealedSamples),
        level: orNull(audio.in?.audioLevel),
      },
      video: {
        kbps: kbps(video.in, before?.video.in),
        fps: rate(video.in, before?.video.in, "framesDecoded") ?? orNull(video.in?.framesPerSecond),
        width: orNull(video.in?.frameWidth),
        height: orNull(video.in?.frameHeight),
        codec: codec(video.in),
        frames_decoded: orNull(video.in?.framesDecoded),
        dropped: orNull(video.in?.framesDropped),
        freezes: orNull(video.in?.freezeCount),
        freeze_ms: round(video.in?.totalFreezesDuration * 1000),
        packets: orNull(video.in?.packetsReceived),
        lost: orNull(video.in?.packetsLost),
        nack: orNull(video.in?.nackCount),
        pli: orNull(video.in?.pliCount),
        rtx: orNull(video.in?.retransmittedPacketsReceived),
      },
    },
  };
}

/** How much a counter grew each second, null if there is nothing to compare with. */
function rate(now, before, field) {
  const seconds = (now?.timestamp - before?.timestamp) / 1000;
  const grown = now?.[field] - before?.[field];
  if (!(seconds > 0.2) || !(grown >= 0) || now.id !== before.id) return null;
  return round(grown / seconds, 1);
}

function kbps(now, before) {
  if (!now) return null;
  const perSecond = rate(now, before, now.type === "outbound-rtp" ? "bytesSent" : "bytesReceived");
  return perSecond === null ? null : round((perSecond * 8) / 1000);
}

/** The share of packets lost, 0 to 1, of what comes in; null if nothing came. */
export function lossIn(stats) {
  const [audio, video] = [stats.in.audio, stats.in.video];
  const lost = Math.max(0, audio.lost ?? 0) + Math.max(0, video.lost ?? 0);
  const all = (audio.packets ?? 0) + (video.packets ?? 0) + lost;
  return all > 0 ? lost / all : null;
}
