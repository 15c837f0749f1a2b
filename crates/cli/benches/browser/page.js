// Runs before the page's own scripts. Each picture is sent with its number as sixteen bars, black or white, along its lower
// edge, and the number is read when the picture comes back.
(() => {
  const BITS = 16;
  const TONE_HZ = 440;
  /** Number → when it was drawn. */
  const drawn = new Map();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
    fillText.call(this, text, ...where);
    // The test picture says which it is in six digits.
    if (!/^\d{6}$/.test(text)) return;
    const number = Number(text) % 2 ** BITS;
    const { width, height } = this.canvas;
    for (let bit = 0; bit < BITS; bit++) {
      this.fillStyle = (number >> bit) & 1 ? '#fff' : '#000';
      this.fillRect((bit * width) / BITS, height * 0.92, width / BITS, height * 0.08);
    }
    drawn.set(number, performance.now());
  };

  const strip = Object.assign(document.createElement('canvas'), { width: BITS * 4, height: 4 });
  const context = strip.getContext('2d', { willReadFrequently: true });

  /** What comes back is mirrored: its first bar is the last that was drawn. */
  function numberIn(video) {
    const { videoWidth: width, videoHeight: height } = video;
    context.drawImage(video, 0, height * 0.94, width, height * 0.04, 0, 0, strip.width, strip.height);
    const { data } = context.getImageData(0, 0, strip.width, strip.height);
    let number = 0;
    for (let bit = 0; bit < BITS; bit++) {
      // The green of a pixel in the middle of the bar.
      if (data[(2 * strip.width + bit * 4 + 2) * 4 + 1] > 127) number |= 1 << (BITS - 1 - bit);
    }
    return number;
  }

  /** Waits for the call and its first second of pictures. */
  async function connected(peer) {
    // Until there is a call there is nothing to ask.
    const read = async () => window.remotemedia.stats(peer);
    for (;;) {
      const stats = await read().catch(() => null);
      if (stats?.in.video.frames_decoded > 30) return;
      await pause(100);
    }
  }

  /**
   * Looks at what comes back for so many seconds: `rates` of pictures and `rtts`, one a second; the `gaps` between pictures
   * that are shown, and the `delays` since they were drawn, in ms; of the seconds, the share in which pictures were 1280x720, as seen and
   * as sent, and what was sent in the others.
   */
  async function watch(peer, seconds) {
    const video = document.querySelector(`article[data-peer="${CSS.escape(peer)}"] video`);
    const seen = { rates: [], rtts: [], gaps: [], delays: [], seen_full: 0, sent_full: 0, limits: [] };
    let [watching, last] = [true, null];
    const look = () => {
      if (!watching) return;
      video.requestVideoFrameCallback(look);
      const now = performance.now();
      if (last !== null) seen.gaps.push(now - last);
      last = now;
      const since = drawn.get(numberIn(video));
      if (since !== undefined && now - since < 5_000) seen.delays.push(now - since);
    };
    video.requestVideoFrameCallback(look);
    let before = await window.remotemedia.stats(peer);
    let at = performance.now();
    for (let second = 0; second < seconds; second++) {
      await pause(1_000);
      const stats = await window.remotemedia.stats(peer);
      const now = performance.now();
      seen.rates.push(((stats.in.video.frames_decoded - before.in.video.frames_decoded) * 1_000) / (now - at));
      seen.rtts.push(stats.rtt_ms);
      if (video.videoWidth === 1280 && video.videoHeight === 720) seen.seen_full += 1 / seconds;
      const sent = await sends();
      if (sent.size === "1280x720") seen.sent_full += 1 / seconds;
      else seen.limits.push({ ...sent, estimate_kbps: stats.out.video.estimate_kbps });
      [before, at] = [stats, now];
    }
    watching = false;
    const codecs = [before.in.video.codec, before.out.video.codec];
    return { ...seen, codecs };
  }

  /** What is sent, and what the browser says keeps it from more: "cpu", "bandwidth", "none", or nothing in Firefox. */
  async function sends() {
    const reports = window.probe.connections.map(async (pc) => [...(await pc.getStats()).values()]);
    const out = (await Promise.all(reports)).flat().find((one) => one.type === 'outbound-rtp' && one.kind === 'video' && one.frameWidth);
    return { size: `${out?.frameWidth}x${out?.frameHeight}`, limit: out?.qualityLimitationReason ?? null, rate: out?.targetBitrate };
  }

  /** Whether a colour is nearer to the first than to the second. */
  function isNearer(colour, first, second) {
    const distance = (other) => Math.hypot(...other.map((value, index) => value - colour[index]));
    return distance(first) < distance(second);
  }

  /** Says what of the test picture, the tone, a text and 60 kB does not come back from the mirror as it should; best nothing. */
  async function faults(peer) {
    const found = [];
    const [red, green] = [[224, 32, 32], [32, 192, 64]];
    const [topLeft, topRight] = window.probe.quarters(peer);
    if (!isNearer(topLeft, green, red) || !isNearer(topRight, red, green)) found.push("the picture is not mirrored");
    const { hz } = await window.probe.hear(peer, TONE_HZ, 5_000);
    if (Math.abs(hz - TONE_HZ) > 5) found.push(`a tone of ${hz} Hz`);
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hash = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    for (const [what, same] of [["hello", (m) => m.text === "hello"], [bytes, (m) => m.hash === hash]]) {
      window.remotemedia.send(peer, what);
      const back = () => window.remotemedia.messages().some((m) => m.from === peer && same(m));
      await window.probe.until(back, 5_000).catch(() => found.push(`${what.length} bytes or characters did not come back`));
    }
    return found;
  }

  window.bench = { connected, faults, watch, pause };
})();
