// The registration of a page that is reloaded. A browser may not get its goodbye out while it unloads the page, and the server
// then holds the name for a minute: the session key lets the page that comes next take it over.

const HELD = 60_000;
const nameOf = (room, peerId) => `remotemedia:${room}/${peerId}`;

/** Leaves the key to the page that comes next in this tab. Only then: a tab that is duplicated must not take over. */
export function leaveKey(room, peerId, key) {
  try {
    if (key) sessionStorage.setItem(nameOf(room, peerId), JSON.stringify({ key, at: Date.now() }));
  } catch {
    // Storage is off or full: the name is free again in a minute.
  }
}

/** The key that the page before left, at most once; null for none. */
export function takeKey(room, peerId) {
  try {
    const left = JSON.parse(sessionStorage.getItem(nameOf(room, peerId)));
    sessionStorage.removeItem(nameOf(room, peerId));
    return left && Date.now() - left.at < HELD ? String(left.key) : null;
  } catch {
    return null;
  }
}
