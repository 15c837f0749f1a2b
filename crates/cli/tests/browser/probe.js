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

  const COUNTERS = {
    decoded: async (peer) => (await window.remotemedia.stats(peer)).in.video.frames_decoded,
    shown: async (peer) => video(peer).getVideoPlaybackQuality().totalVideoFrames,
  };
  const watches = new Map();

  /** Watches for gaps between pictures, from the next one on: those decoded or those shown. */
  function watch(peer, counter = 'decoded', every = 50) {
    const watching = { running: true, pictures: 0, longest: 0, at: 0, since: performance.now(), looks: 0, failures: 0 };
    watches.get(peer)?.stop();
    watches.set(peer, watching);
    watching.stop = () => (watching.running = false);
    const run = async () => {
      let [last, changed] = [null, null];
      while (watching.running) {
        const count = await COUNTERS[counter](peer).catch(() => (watching.failures++, last));
        const now = performance.now();
        watching.looks++;
        if (changed !== null && now - changed > watching.longest) {
          Object.assign(watching, { longest: now - changed, at: changed - watching.since });
        }
        if (count !== last) {
          if (last !== null) {
            // A connection that was made anew counts from nothing.
            watching.pictures += count > last ? count - last : count;
            changed = now;
          }
          last = count;
        }
        await pause(every);
      }
    };
    run();
  }

  /** What was seen so far: `longest` is the longest gap and `at` when it began, both in ms. */
  function watched(peer) {
    const { pictures, longest, at, since, looks, failures } = watches.get(peer);
    return { pictures, longest, at, seconds: (performance.now() - since) / 1000, looks, failures };
  }

  /** Pictures decoded a second, over so many ms. */
  async function rate(peer, ms) {
    const [begin, before] = [performance.now(), await COUNTERS.decoded(peer)];
    await pause(ms);
    return (((await COUNTERS.decoded(peer)) - before) * 1000) / (performance.now() - begin);
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
