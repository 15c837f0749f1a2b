// How each browser is found and started: a fresh profile that goes away with it, media without devices or questions, and
// no throttling of what is not in front.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import puppeteer from 'puppeteer-core';

const PROGRAMS = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
  firefox: ['firefox-esr', 'firefox'],
};

const CHROMIUM_FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-breakpad',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--disable-features=CalculateNativeWinOcclusion,IntensiveWakeUpThrottling,Translate',
  // Calls on a machine without a network.
  '--allow-loopback-in-peer-connection',
  // Permission is given, so a browser without fake devices says that it found none.
  '--use-fake-ui-for-media-stream',
];

const FIREFOX_PREFS = {
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // Calls on a machine without a network: all addresses as they are, the loopback one among them. A page that uses neither
  // camera nor microphone is told the address of the default route only, unless it may use them.
  'permissions.default.camera': 1,
  'permissions.default.microphone': 1,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'network.manage-offline-status': false,
  'dom.timeout.enable_budget_timer_throttling': false,
  'dom.min_background_timeout_value': 4,
  'dom.ipc.processPriorityManager.enabled': false,
  'widget.windows.window_occlusion_tracking.enabled': false,
  // Whether this Firefox has fetched OpenH264 does not decide what is tested: it has no H.264.
  'media.gmp-gmpopenh264.enabled': false,
  // Nothing is fetched that no test asked for.
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

/**
 * Starts a browser.
 *
 * @param {{browser: 'chromium'|'firefox', extra_args?: string[], fake_media?: boolean,
 *   extra_prefs?: object}} options `extra_prefs` are for Firefox
 * @returns {Promise<{browser: import('puppeteer-core').Browser, pid: number, kill: () => void,
 *   remove: () => Promise<void>}>} `kill` sends SIGKILL to all its processes; `remove` takes its files away once they
 *   are dead.
 */
export async function launch({ browser: kind, extra_args = [], fake_media = true, extra_prefs = {} }) {
  const executablePath = find(kind);
  const folder = mkdtempSync(join(tmpdir(), `remotemedia-${kind}-`));
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  const env = {
    ...process.env,
    // What a browser keeps besides its profile goes there too, and this user's own is not read.
    HOME: folder,
    XDG_CACHE_HOME: join(folder, 'cache'),
    XDG_CONFIG_HOME: join(folder, 'config'),
    XDG_RUNTIME_DIR: folder,
  };
  const sound = kind === 'firefox' ? await startSound(folder, env) : undefined;
  const common = {
    executablePath,
    userDataDir: join(folder, 'profile'),
    env: sound ? { ...env, PULSE_SERVER: sound.address } : env,
    defaultViewport: { width: 1280, height: 800 },
    headless: true,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    timeout: 60_000,
    protocolTimeout: 300_000,
  };
  const special = kind === 'chromium'
    ? {
        pipe: true,
        args: [...CHROMIUM_FLAGS, ...(fake_media ? ['--use-fake-device-for-media-stream'] : []), ...extra_args],
      }
    : {
        browser: 'firefox',
        args: extra_args,
        extraPrefsFirefox: { ...FIREFOX_PREFS, 'media.navigator.streams.fake': fake_media, ...extra_prefs },
      };
  try {
    const browser = await puppeteer.launch({ ...common, ...special });
    const pid = browser.process().pid;
    return { browser, pid, kill: () => [pid, sound?.pid].forEach(killGroup), remove };
  } catch (error) {
    killGroup(sound?.pid);
    await remove();
    throw error;
  }
}

/**
 * A sound server that plays to nowhere, since Firefox starts no AudioContext on a machine without a sound card.
 * Without PulseAudio the machine's own sound is used.
 */
async function startSound(folder, env) {
  const program = onPath('pulseaudio');
  if (!program) return undefined;
  const socket = join(folder, 'sound');
  const server = spawn(
    program,
    [
      ...['-n', '--daemonize=no', '--use-pid-file=no', '--realtime=no', '--high-priority=no', '--log-level=error'],
      // So that one whose driver was killed does not stay for ever.
      '--exit-idle-time=600',
      ...['--load', `module-native-protocol-unix socket=${socket} auth-anonymous=1`, '--load', 'module-null-sink'],
    ],
    { env, detached: true, stdio: 'ignore' },
  );
  const failed = new Promise((_, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`pulseaudio ended with ${code}`)));
  });
  failed.catch(() => {});
  const listening = async () => {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await Promise.race([listening(), failed]);
  return { pid: server.pid, address: `unix:${socket}` };
}

/** SIGKILL to a process and its children. */
function killGroup(pid) {
  if (!pid) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

function find(kind) {
  const names = PROGRAMS[kind];
  if (!names) throw new Error(`browser ${kind} is unknown: it is one of ${Object.keys(PROGRAMS).join(', ')}`);
  const program = names.map(onPath).find(Boolean);
  if (!program) throw new Error(`${kind} is not installed: run \`cargo xtask setup test\``);
  return program;
}

function onPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, name)).find(existsSync);
}
