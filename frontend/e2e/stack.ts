import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** `flashsale up` on a folder of its own: the servers, the API and the page. */
export interface Stack {
  /** Where it answers. */
  url: string;
  /** Holds its data, its output and its process id. */
  root: string;
}

// A first start makes a database and formats a log; a slow machine does that in a minute.
const READY_WITHIN_MS = 90_000;
const STOPPED_WITHIN_MS = 60_000;
const OUTPUT_SHOWN_CHARS = 4_000;
// Below the range that the kernel gives to outgoing connections, so that the port is still free at a restart, and above
// the one that `up` takes for its servers.
const PORT_MIN = 32_000;
const PORT_COUNT = 700;

const program = process.env["FLASHSALE_BIN"] ?? resolve(import.meta.dirname, "../../target/debug/flashsale");

/** A stack that does not run yet. */
export async function newStack(): Promise<Stack> {
  if (!existsSync(program)) {
    throw new Error(`There is no ${program}. Build it with \`cargo build\`, or set FLASHSALE_BIN.`);
  }
  const root = mkdtempSync(join(tmpdir(), "flashsale-e2e-"));
  // Postgres refuses to run as root and becomes another user, who must get at its data.
  chmodSync(root, 0o755);
  return { url: `http://127.0.0.1:${await freePort()}`, root };
}

/** Starts it and waits until it is ready; nothing is left behind when it does not get there. */
export async function startStack(stack: Stack): Promise<void> {
  const output = openSync(join(stack.root, "up.log"), "a");
  const up = spawn(program, ["up", "--no-demo"], {
    env: {
      ...environment(),
      FLASHSALE_DATA_DIR: join(stack.root, "data"),
      FLASHSALE_HTTP_ADDRESS: new URL(stack.url).host,
      // Every browser here has the same address.
      FLASHSALE_SSE__CLIENTS_PER_IP_MAX: "100",
      // A sixteenth of the work that is asked for by itself: it is done beside the servers and another browser.
      FLASHSALE_CHALLENGE__DIFFICULTY_BITS: "14",
    },
    stdio: ["ignore", output, output],
    // The one who stops it may be another process than this one.
    detached: true,
  });
  closeSync(output);
  up.unref();
  let failure: Error | undefined;
  up.once("error", (error) => {
    failure = error;
  });
  if (up.pid !== undefined) writeFileSync(pidFile(stack), String(up.pid));
  try {
    const deadline = Date.now() + READY_WITHIN_MS;
    while (!(await isReady(stack.url))) {
      if (failure !== undefined) throw failure;
      if (hasEnded(up)) throw new Error("`flashsale up` ended before it was ready");
      if (Date.now() > deadline)
        throw new Error(`\`flashsale up\` was not ready after ${READY_WITHIN_MS / 1_000} s`);
      await pause(100);
    }
  } catch (error) {
    await stopStack(stack).catch(() => {});
    throw new Error(`${error instanceof Error ? error.message : error}; it said:\n${stackOutput(stack)}`);
  }
}

/** Asks it to stop, as an operator would, and waits until it is gone. */
export async function stopStack(stack: Stack): Promise<void> {
  const pid = existsSync(pidFile(stack)) ? Number(readFileSync(pidFile(stack), "utf8")) : Number.NaN;
  if (!isRunning(pid)) return;
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + STOPPED_WITHIN_MS;
  while (isRunning(pid)) {
    if (Date.now() > deadline) {
      // Its servers are tied to it and end with it.
      process.kill(pid, "SIGKILL");
      throw new Error(`\`flashsale up\` did not stop at a SIGTERM; it said:\n${stackOutput(stack)}`);
    }
    await pause(50);
  }
}

/** Deletes what a stopped stack has left. */
export function removeStack(stack: Stack): void {
  // It knows of data that could not live below the folder.
  const reset = ["reset", "--yes", "--data-dir", join(stack.root, "data")];
  execFileSync(program, reset, { env: environment(), stdio: "pipe" });
  rmSync(stack.root, { recursive: true, force: true });
}

/** The last of what it printed. */
export function stackOutput(stack: Stack): string {
  const file = join(stack.root, "up.log");
  return existsSync(file) ? readFileSync(file, "utf8").slice(-OUTPUT_SHOWN_CHARS) : "";
}

/** The stack that the whole run shares: made by the global setup, which tells the workers by the environment. */
export function sharedStack(): Stack {
  const [url, root] = [process.env["E2E_URL"], process.env["E2E_ROOT"]];
  if (url === undefined || root === undefined) throw new Error("The global setup has not started a stack.");
  return { url, root };
}

/** Makes `stack` the one that the workers find. */
export function shareStack(stack: Stack): void {
  process.env["E2E_URL"] = stack.url;
  process.env["E2E_ROOT"] = stack.root;
}

// Without our own settings, as the program refuses those that it does not know, and without a developer's.
function environment(): NodeJS.ProcessEnv {
  const isPassed = (name: string) => !name.startsWith("FLASHSALE_") || name === "FLASHSALE_CACHE_DIR";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => isPassed(name)));
}

function pidFile(stack: Stack): string {
  return join(stack.root, "up.pid");
}

async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) });
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    // One that nobody has collected yet has ended all the same.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * PORT_COUNT);
    const isFree = await new Promise<boolean>((tell) => {
      const server = createServer();
      server.once("error", () => tell(false));
      server.listen(port, "127.0.0.1", () => server.close(() => tell(true)));
    });
    if (isFree) return port;
  }
}
