// How much JavaScript a first visit loads, gzipped. Fails above the limit.

import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 120 * 1024;

const dist = path.resolve(import.meta.dirname, "../dist");
const html = readFileSync(path.join(dist, "index.html"), "utf8");

// Vite names what the entry imports statically in `modulepreload` links.
const scripts = [...html.matchAll(/<script\b[^>]*\bsrc="([^"]+)"/g)].map((match) => match[1]);
const preloads = [...html.matchAll(/<link\b[^>]*\brel="modulepreload"[^>]*>/g)].map(
  (match) => /\bhref="([^"]+)"/.exec(match[0])?.[1],
);
const files = [...new Set([...scripts, ...preloads])].filter((file) => file !== undefined);
if (files.length === 0) throw new Error("dist/index.html loads no script: run `npm run build` first");

let total = 0;
for (const file of files) {
  const bytes = gzipSync(readFileSync(path.join(dist, file)), { level: 9 }).length;
  total += bytes;
  console.log(`${kib(bytes)}  ${file}`);
}
console.log(`${kib(total)}  initial JavaScript, gzipped; the limit is ${kib(LIMIT_BYTES)}`);
if (total > LIMIT_BYTES) {
  console.error("Too much JavaScript.");
  process.exitCode = 1;
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
