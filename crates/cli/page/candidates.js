// Candidates may overtake the description they belong to: they wait here.

const MOST = 64;
const LONGEST = 30_000;

/** Early candidates of one peer: 64 at most, for 30 s. */
export class EarlyCandidates {
  #waiting = [];

  /** @param {object} params the params of `peer.ice_candidate` */
  push(params) {
    this.#waiting.push({ params, at: performance.now() });
    if (this.#waiting.length > MOST) this.#waiting.shift();
  }

  /** Takes out those that belong to a description. */
  take(description, requestId) {
    const now = performance.now();
    const taken = [];
    this.#waiting = this.#waiting.filter(({ params, at }) => {
      if (now - at > LONGEST) return false;
      if (!belongs(params, description, requestId)) return true;
      taken.push(params);
      return false;
    });
    return taken;
  }
}

/** Whether a candidate belongs to that remote description: its ICE user name tells, else its request id. */
export function belongs(params, description, requestId) {
  if (!description) return false;
  const fragment = params.user_fragment;
  if (fragment) return userFragments(description.sdp).includes(fragment);
  return params.request_id === requestId;
}

function userFragments(sdp) {
  return [...sdp.matchAll(/^a=ice-ufrag:(\S+)/gm)].map((match) => match[1]);
}

/** The certificate fingerprint of a description: a connection keeps its own for life, and shares it with no other. */
export function fingerprint(sdp) {
  return /^a=fingerprint:\S+\s+(\S+)/m.exec(String(sdp ?? ""))?.[1]?.toUpperCase() ?? null;
}
