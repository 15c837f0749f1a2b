// Runs before each document's own scripts: what the tests measure inside a page.
(() => {
  const connections = [];
  if (window.RTCPeerConnection) {
    window.RTCPeerConnection = class extends window.RTCPeerConnection {
      constructor(...args) {
        super(...args);
        connections.push(this);
      }
    };
  }

  const video = (peer) => {
    const found = document.querySelector(`article[data-peer="${CSS.escape(peer)}"] video`);
    if (!found) throw new Error(`there is no tile of ${peer}`);
    return found;
  };
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** The mean colours in the middles of the quarters: top left, top right, bottom left, bottom right. */
  function quarters(peer) {
    const { videoWidth: width, videoHeight: height } = video(peer);
    if (!width) throw new Error(`${peer} has shown no picture`);
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video(peer), 0, 0);
    const side = Math.max(2, Math.floor(Math.min(width, height) / 10));
    return [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) => {
      const [left, top] = [Math.round((width * x) / 4 - side / 2), Math.round((height * y) / 4 - side / 2)];
      const { data } = context.getImageData(left, top, side, side);
      const sums = [0, 0, 0];
      data.forEach((value, index) => index % 4 < 3 && (sums[index % 4] += value));
      return sums.map((sum) => Math.round(sum / (side * side)));
    });
  }

  let context = null;
  const listeners = new Map();

  function listener(stream) {
    const known = listeners.get(stream);
    if (known) return known;
    context ??= new AudioContext();
    context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 32768, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(stream).connect(analyser);
    const made = { analyser, since: context.currentTime };
    listeners.set(stream, made);
    return made;
  }

  /**
   * The strongest frequency of what a peer sends and its amplitude, over the last two thirds of a second; 0 until there
   * was that much to listen to.
   */
  function tone(peer) {
    const { analyser, since } = listener(video(peer).srcObject);
    if (context.currentTime - since < (1.2 * analyser.fftSize) / context.sampleRate) return { hz: 0, amplitude: 0 };
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    let top = 1;
    for (let bin = 1; bin < bins.length - 1; bin++) if (bins[bin] > bins[top]) top = bin;
    // The peak of the parabola through the three highest.
    const [before, at, after] = [bins[top - 1], bins[top], bins[top + 1]];
    const shift = Number.isFinite(at) ? (before - after) / (2 * (before - 2 * at + after)) : 0;
    const hz = ((top + shift) * context.sampleRate) / analyser.fftSize;
    return { hz: Number.isFinite(at) ? hz : 0, amplitude: Math.sqrt(2 * power) };
  }

  /** How loud the frequency `hz` is in what a peer sends, in dB, over the last two thirds of a second. */
  function level(peer, hz) {
    const { analyser } = listener(video(peer).srcObject);
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const at = Math.round((hz * analyser.fftSize) / context.sampleRate);
    return Math.max(-200, ...bins.slice(at - 3, at + 4));
  }

  /**
   * Waits until a tone near `hz` has been heard for a second, and answers it; after so many ms what is heard instead. A machine
   * that is too busy to play for a moment makes gaps, which are noise: then it waits anew.
   */
  async function hear(peer, hz, ms) {
    const isIt = () => Math.abs(tone(peer).hz - hz) <= 5;
    const heard = async () => {
      if (!isIt()) return false;
      await pause(1_000);
      return isIt();
    };
    await until(heard, ms).catch(() => {});
    return tone(peer);
  }

  const loudness = new Map();

  /** Counts from now on for how long a peer is louder than -40 dBFS. */
  function listenFor(peer) {
    const stream = video(peer).srcObject;
    listener(stream);
    loudness.get(peer)?.stop();
    // The page lets no worklet in. Of so many samples at a time none gets lost while the page is busy.
    const tap = context.createScriptProcessor(4096, 1, 1);
    const source = context.createMediaStreamSource(stream);
    const counted = { seconds: 0, lost: 0, changed: performance.now(), stop: () => (source.disconnect(), tap.disconnect()) };
    let next = null;
    tap.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      // What a page that is too busy is not given.
      if (next !== null && playbackTime - next > inputBuffer.duration / 2) counted.lost += playbackTime - next;
      next = playbackTime + inputBuffer.duration;
      const samples = inputBuffer.getChannelData(0);
      for (let at = 0; at < samples.length; at += 128) {
        const power = samples.subarray(at, at + 128).reduce((sum, sample) => sum + sample * sample, 0) / 128;
        if (power > 1e-4) Object.assign(counted, { seconds: counted.seconds + 128 / inputBuffer.sampleRate, changed: performance.now() });
      }
    };
    source.connect(tap).connect(context.destination);
    loudness.set(peer, counted);
  }

  /** For how many seconds a peer was loud, once that has been so and it has been quiet again for half a second, and how many
   * of the seconds since were not listened to. */
  async function loudFor(peer, ms) {
    await until(() => loudness.get(peer).seconds && performance.now() - loudness.get(peer).changed > 500, ms);
    const { seconds, lost } = loudness.get(peer);
    return { seconds, lost };
  }

  /** The receiver of a peer's pictures. */
  function receiver(peer) {
    const [track] = video(peer).srcObject.getVideoTracks();
    const found = connections.flatMap((pc) => pc.getReceivers()).find((one) => one.track === track);
    if (!found) throw new Error(`nothing receives pictures of ${peer}`);
    return found;
  }

  const DECODED = { framesDecoded: 0, totalInterFrameDelay: 0, totalSquaredInterFrameDelay: 0 };

  /** What the browser counts of a peer's pictures as it decodes them. */
  async function decoded(peer) {
    const report = [...(await receiver(peer).getStats()).values()];
    return { ...DECODED, ...report.find((one) => one.type === 'inbound-rtp' && one.kind === 'video') };
  }

  /**
   * The longest time between two pictures decoded one after the other between two looks, in ms, as the browser itself measured
   * it, however late the looks were: of one picture exactly, of several at most.
   */
  function longestGap(before, after) {
    const sum = after.totalInterFrameDelay - before.totalInterFrameDelay;
    const squares = after.totalSquaredInterFrameDelay - before.totalSquaredInterFrameDelay;
    return 1_000 * Math.min(sum, Math.sqrt(Math.max(0, squares)));
  }

  const watches = new Map();

  /** Watches for gaps between the pictures of a peer that are decoded, looking every so many ms. */
  function watch(peer, every = 100) {
    const watching = { running: true, pictures: 0, longest: 0, at: 0, since: performance.now(), changed: null, last: null };
    watches.get(peer)?.stop();
    watches.set(peer, watching);
    watching.stop = () => (watching.running = false);
    watching.look = async () => {
      const seen = await decoded(peer).catch(() => null);
      const { last } = watching;
      if (!seen?.framesDecoded || (last?.id === seen.id && seen.framesDecoded === last.framesDecoded)) return;
      const now = performance.now();
      if (last) {
        // A connection that was made anew counts from nothing, as Firefox does when the other side restarts ICE.
        const isSame = last.id === seen.id && seen.framesDecoded > last.framesDecoded;
        const gap = isSame ? longestGap(last, seen) : now - watching.changed;
        watching.pictures += isSame ? seen.framesDecoded - last.framesDecoded : seen.framesDecoded;
        if (gap > watching.longest) Object.assign(watching, { longest: gap, at: now - watching.since });
      }
      Object.assign(watching, { last: seen, changed: now });
    };
    const run = async () => {
      while (watching.running) {
        await watching.look();
        await pause(every);
      }
    };
    run();
  }

  /** What was seen so far: `longest` is the longest gap, up to now, and `at` about when it ended, both in ms. */
  async function watched(peer) {
    const watching = watches.get(peer);
    await watching.look();
    const now = performance.now();
    const { pictures, since, changed } = watching;
    const open = now - (changed ?? since);
    const { longest, at } = open > watching.longest ? { longest: open, at: now - since } : watching;
    return { pictures, longest, at, seconds: (now - since) / 1_000 };
  }

  /** Pictures decoded a second, over so many ms. */
  async function rate(peer, ms) {
    const count = async () => (await decoded(peer)).framesDecoded;
    const [begin, before] = [performance.now(), await count()];
    await pause(ms);
    return (((await count()) - before) * 1000) / (performance.now() - begin);
  }

  /** Waits until the condition holds and answers after how many ms; an error in it counts as no. */
  async function until(condition, ms) {
    const begin = performance.now();
    let trouble = 'it never held';
    do {
      try {
        if (await condition()) return performance.now() - begin;
        trouble = 'it never held';
      } catch (error) {
        trouble = String(error);
      }
      await pause(20);
    } while (performance.now() - begin < ms);
    throw new Error(`after ${ms} ms: ${trouble}`);
  }

  window.probe = { connections, quarters, hear, level, listenFor, loudFor, watch, watched, rate, until, pause };
})();
