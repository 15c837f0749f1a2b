// Drives browsers for the tests: one JSON command a line on standard input, one JSON answer a line on standard output.
//
//   {"id":7,"command":"open","browser":1,"url":"http://localhost:8080"}   →   {"id":7,"ok":{"page":2}}
//                                                                        or   {"id":7,"error":"text"}
//
// Commands run concurrently. What this program started ends with it: at `quit`, at the end of its input, and at a signal.
import { createInterface } from 'node:readline';
import { launch } from './browsers.mjs';

/** As many lines of a page's console are kept. */
const CONSOLE_LINES = 1_000;

/** Handle → what `launch` answered. */
const browsers = new Map();
/** Handle → `{page, context, browser, console}`. */
const pages = new Map();
let handles = 0;

const COMMANDS = {
  /** `{browser: "chromium"|"firefox", extra_args?, fake_media?, extra_prefs?}` → `{browser, pid, version}` */
  async launch(options) {
    const started = await launch(options);
    const handle = ++handles;
    browsers.set(handle, started);
    return { browser: handle, pid: started.pid, version: await started.browser.version() };
  },

  /** `{browser, url, script?}` → `{page}`: in a window and a storage of its own. `script` runs before each document's. */
  async open({ browser, url, script }) {
    const owner = lookUp(browsers, browser, 'browser');
    const context = await owner.browser.createBrowserContext();
    const page = await context.newPage({ type: 'window' });
    const handle = ++handles;
    const lines = [];
    pages.set(handle, { page, context, browser, console: lines });
    listen(page, lines);
    if (script) await page.evaluateOnNewDocument(script);
    await page.goto(url);
    return { page: handle };
  },

  /** `{page, js}` → what the body `js` of an async function returns, as JSON. */
  async eval({ page, js }) {
    const answered = await lookUp(pages, page, 'page').page.evaluate(
      `(async () => {
        try {
          return JSON.stringify({ ok: (await (async () => {\n${js}\n})()) ?? null });
        } catch (error) {
          return JSON.stringify({ error: String(error) });
        }
      })()`,
    );
    const { ok, error } = JSON.parse(answered);
    if (error !== undefined) throw new Error(error);
    return ok;
  },

  /** `{page, selector}`: a click as a person makes it. */
  async click({ page, selector }) {
    await lookUp(pages, page, 'page').page.click(selector);
  },

  /** `{page, text}`: typed into what has the focus. */
  async type({ page, text }) {
    await lookUp(pages, page, 'page').page.keyboard.type(text);
  },

  /** `{page, key}`: one key, such as "Tab". */
  async press({ page, key }) {
    await lookUp(pages, page, 'page').page.keyboard.press(key);
  },

  /** `{page}` */
  async reload({ page }) {
    await lookUp(pages, page, 'page').page.reload();
  },

  /** `{page}`: the document is told, as when a person closes a tab. */
  async close_page({ page }) {
    const open = lookUp(pages, page, 'page');
    pages.delete(page);
    await open.page.close();
    await open.context.close();
  },

  /** `{page}`: its process dies. The browser lives on. */
  async crash_page({ page }) {
    const { page: tab } = lookUp(pages, page, 'page');
    const crashed = new Promise((resolve) => tab.once('error', resolve));
    // Nothing is loaded any more, so this ends with an error or not at all.
    tab.goto('chrome://crash').catch(() => {});
    await crashed;
  },

  /** `{browser}`: SIGKILL to all its processes. Nobody is told. */
  async kill_browser({ browser }) {
    await kill(browser);
  },

  /** `{page, path, full?}` */
  async screenshot({ page, path, full = false }) {
    await lookUp(pages, page, 'page').page.screenshot({ path, fullPage: full });
  },

  /** `{page, width, height, scale?, mobile?}`: Firefox knows no `mobile`. */
  async viewport({ page, width, height, scale = 1, mobile }) {
    const touch = mobile === undefined ? {} : { isMobile: mobile, hasTouch: mobile };
    await lookUp(pages, page, 'page').page.setViewport({ width, height, deviceScaleFactor: scale, ...touch });
  },

  /** `{page, scheme: "light"|"dark"}`: what the machine prefers. Not in Firefox. */
  async colours({ page, scheme }) {
    await lookUp(pages, page, 'page').page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  },

  /** `{page}` → its console's lines and its uncaught errors so far, each `"level: text"`. */
  async console({ page }) {
    return lookUp(pages, page, 'page').console;
  },

  async quit() {},
};

function lookUp(map, handle, what) {
  const found = map.get(handle);
  if (!found) throw new Error(`there is no ${what} ${handle}: it was closed, killed or never opened`);
  return found;
}

function listen(page, lines) {
  const keep = (line) => {
    if (lines.length < CONSOLE_LINES) lines.push(line);
  };
  page.on('console', (message) => keep(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => keep(`uncaught: ${error?.stack ?? error}`));
  page.on('error', (error) => keep(`crashed: ${error.message}`));
  page.on('dialog', (dialog) => dialog.accept().catch(() => {}));
}

/** Files that are being taken away. */
const removing = new Set();

/** Kills a browser and waits for its end; its files are taken away after that. */
async function kill(handle) {
  const { browser, kill: killAll, remove } = lookUp(browsers, handle, 'browser');
  browsers.delete(handle);
  for (const [page, open] of pages) if (open.browser === handle) pages.delete(page);
  const child = browser.process();
  const ended = child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));
  killAll();
  await ended;
  const removed = browser.disconnect().catch(() => {}).then(remove);
  removing.add(removed);
  removed.finally(() => removing.delete(removed)).catch(() => {});
}

/** Browsers that are being launched. */
const launching = new Set();
let ending = false;

/** Ends everything, then this program. A browser that is being launched is waited for. */
async function end(code) {
  if (ending) return;
  ending = true;
  await Promise.allSettled(launching);
  await Promise.allSettled([...browsers.keys()].map(kill));
  await Promise.allSettled(removing);
  process.exit(code);
}

async function answer(line) {
  let id = null;
  const reply = (result) => process.stdout.write(`${JSON.stringify({ id, ...result })}\n`);
  try {
    const { id: theirs, command, ...options } = JSON.parse(line);
    id = theirs ?? null;
    const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
    if (!run) throw new Error(`command ${command} is unknown: it is one of ${Object.keys(COMMANDS).join(', ')}`);
    const running = run(options);
    if (command === 'launch') {
      launching.add(running);
      const done = () => launching.delete(running);
      running.then(done, done);
    }
    reply({ ok: (await running) ?? null });
    if (command === 'quit') await end(0);
  } catch (error) {
    reply({ error: String(error?.message ?? error) });
  }
}

const input = createInterface({ input: process.stdin });
input.on('line', answer);
input.on('close', () => end(0));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(1));
process.stdout.on('error', () => end(1));
// The protocol libraries reject what was under way when a browser is killed: that has been answered already.
process.on('unhandledRejection', (error) => process.stderr.write(`driver: ${error?.message ?? error}\n`));
process.on('exit', () => {
  for (const started of browsers.values()) started.kill();
});
