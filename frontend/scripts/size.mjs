// How much JavaScript a first visit loads, and how much a sale's challenge and the operators' console load besides,
// gzipped. Fails above a limit, and when the shop's part holds what only the console needs.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const INITIAL_LIMIT_BYTES = 120 * 1024;
const CHALLENGE_LIMIT_BYTES = 10 * 1024;
const CONSOLE_LIMIT_BYTES = 60 * 1024;
/** The worker that does a proof of work. */
const CHALLENGE_FILE = /\/proof-worker-[^/]*$/;
/** The charts' library, and the header of an operator's questions: what shoppers are not to load. */
const CONSOLE_MARKS = ["u-over", "X-Admin-Key"];

const dist = path.resolve(import.meta.dirname, "../dist");
const html = readFileSync(path.join(dist, "index.html"), "utf8");

// Vite names what the entry imports statically in `modulepreload` links.
const scripts = [...html.matchAll(/<script\b[^>]*\bsrc="([^"]+)"/g)].map((match) => match[1]);
const preloads = [...html.matchAll(/<link\b[^>]*\brel="modulepreload"[^>]*>/g)].map(
  (match) => /\bhref="([^"]+)"/.exec(match[0])?.[1],
);
const initial = [...new Set([...scripts, ...preloads])].filter((file) => file !== undefined);
if (initial.length === 0) throw new Error("dist/index.html loads no script: run `npm run build` first");

const others = readdirSync(path.join(dist, "assets"))
  .filter((name) => name.endsWith(".js"))
  .map((name) => `/assets/${name}`)
  .filter((file) => !initial.includes(file));
const challenge = others.filter((file) => CHALLENGE_FILE.test(file));
const later = others.filter((file) => !challenge.includes(file));

measure("initial JavaScript", initial, INITIAL_LIMIT_BYTES);
measure("JavaScript of a challenge", challenge, CHALLENGE_LIMIT_BYTES);
measure("JavaScript of the console", later, CONSOLE_LIMIT_BYTES);
if (challenge.length === 0) fail(`No file is the worker of a challenge: ${CHALLENGE_FILE}.`);
for (const mark of CONSOLE_MARKS) {
  const holds = (file) => readFileSync(path.join(dist, file), "utf8").includes(mark);
  if (initial.some(holds)) fail(`The initial JavaScript has a part of the console in it: ${mark}.`);
  // Else the mark finds nothing any more.
  if (!later.some(holds)) fail(`No file of the console has ${mark} in it.`);
}

function measure(what, files, limit) {
  let total = 0;
  for (const file of files) {
    const bytes = gzipSync(readFileSync(path.join(dist, file)), { level: 9 }).length;
    total += bytes;
    console.log(`${kib(bytes)}  ${file}`);
  }
  console.log(`${kib(total)}  ${what}, gzipped; the limit is ${kib(limit)}`);
  if (total > limit) fail(`Too much ${what}.`);
}

function fail(why) {
  console.error(why);
  process.exitCode = 1;
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
