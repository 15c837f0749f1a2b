// A picture and a tone for those who have no camera, and for tests: four colours, something that moves, a frame counter.

const COLOURS = ["#e02020", "#20c040", "#2040e0", "#e0d020"];
const AMPLITUDE = 0.25;

/**
 * Draws the test picture.
 * @param {{width?: number, height?: number, fps?: number}} options
 * @returns {{track: MediaStreamTrack, stop: () => void}}
 */
export function testPicture({ width = 640, height = 360, fps = 30 } = {}) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  const base = background(width, height);
  const font = `600 ${Math.round(height / 14)}px ui-monospace, monospace`;
  const bar = { width: Math.round(width / 24), height: Math.round(height / 12) };
  let frame = 0;
  const draw = () => {
    context.drawImage(base, 0, 0);
    const band = height / 2;
    context.fillStyle = "#fff";
    // Once across in four seconds, and back.
    const way = (frame / (fps * 4)) % 2;
    const x = (way < 1 ? way : 2 - way) * (width - bar.width);
    context.fillRect(x, band - bar.height / 2, bar.width, bar.height);
    context.font = font;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const text = String(frame).padStart(6, "0");
    const box = context.measureText(text).width + 16;
    // At the top in the middle: captions and buttons of a tile leave that free, mirrored too.
    const y = height / 14;
    context.fillStyle = "#10141c";
    context.fillRect((width - box) / 2, y - height / 20, box, height / 10);
    context.fillStyle = "#fff";
    context.fillText(text, width / 2, y);
    frame++;
  };
  draw();
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  const show = () => (track.requestFrame ? track.requestFrame() : stream.requestFrame?.());
  const tick = () => (draw(), show());
  const stopTicking = ticker(1000 / fps, tick);
  const stop = () => (stopTicking(), track.stop());
  return { track, stop };
}

function background(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  const [w, h] = [width / 2, height / 2];
  COLOURS.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect((index % 2) * w, Math.floor(index / 2) * h, w, h);
  });
  return canvas;
}

function ticker(interval, tick) {
  try {
    const worker = new Worker(new URL("ticker.js", import.meta.url));
    worker.onmessage = tick;
    worker.postMessage(interval);
    return () => worker.terminate();
  } catch {
    const timer = setInterval(tick, interval);
    return () => clearInterval(timer);
  }
}

/**
 * Plays a tone into a track; nothing is heard here.
 * @param {number} hz
 * @returns {{track: MediaStreamTrack, stop: () => void}}
 */
export function testTone(hz = 440) {
  const audio = new AudioContext();
  const oscillator = new OscillatorNode(audio, { frequency: hz });
  const gain = new GainNode(audio, { gain: AMPLITUDE });
  const out = new MediaStreamAudioDestinationNode(audio, { channelCount: 1 });
  oscillator.connect(gain).connect(out);
  oscillator.start();
  // Until someone touches the page a browser may keep an audio context silent.
  const wake = () => audio.resume().catch(() => {});
  const gestures = ["pointerdown", "keydown"];
  wake();
  for (const type of gestures) window.addEventListener(type, wake);
  const [track] = out.stream.getAudioTracks();
  const stop = () => {
    for (const type of gestures) window.removeEventListener(type, wake);
    track.stop();
    audio.close().catch(() => {});
  };
  return { track, stop };
}
