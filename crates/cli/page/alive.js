// Whether there is somebody at the other end of a call: that the server does not see a peer any more says little.

import { sleep } from "./dom.js";

const ROUND = 250;
/** Media comes all the time; without any there is only the check of the path every few seconds. */
const ROUNDS = { media: 4, quiet: 16 };
/** What is still in flight must not count. */
const IN_FLIGHT = 150;

/**
 * Looks for a second whether anything arrives, longer at a call without media.
 * @param {import("./call.js").Call} call
 * @returns {Promise<boolean>} false also for a call that is not connected; true for one that was set up anew meanwhile
 */
export async function alive(call) {
  const { pc } = call;
  if (!pc || call.failed) return false;
  await sleep(IN_FLIGHT);
  const before = await bytesReceived(pc);
  const rounds = call.hasVideo || call.hasAudio ? ROUNDS.media : ROUNDS.quiet;
  for (let round = 0; round < rounds; round++) {
    await sleep(ROUND);
    if (call.closed) return false;
    if (call.pc !== pc) return true;
    if (pc.connectionState === "connected" && (await bytesReceived(pc)) > before) return true;
  }
  return false;
}

async function bytesReceived(pc) {
  let bytes = 0;
  for (const one of (await pc.getStats()).values()) {
    if (one.type === "candidate-pair") bytes += (one.bytesReceived ?? 0) + (one.responsesReceived ?? 0);
  }
  return bytes;
}
