import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "@playwright/test";
import { FaultProxy } from "./faultProxy.ts";

// The proxy proves other things, so it is proven first.

let served: string[];
let upstream: Server;
let proxy: FaultProxy;
let tick: NodeJS.Timeout | undefined;

test.beforeEach(async () => {
  served = [];
  upstream = createServer((request, response) => {
    served.push(`${request.method} ${request.url}`);
    if (request.url?.startsWith("/api/v1/sales/events")) {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      tick = setInterval(() => response.write(": beat\n\n"), 20);
      response.on("close", () => clearInterval(tick));
      return;
    }
    request.resume();
    request.on("end", () => response.end(`you asked for ${request.url}`));
  });
  await new Promise<void>((ready) => {
    upstream.listen(0, "127.0.0.1", ready);
  });
  proxy = await FaultProxy.start(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
});

test.afterEach(async () => {
  await proxy.close();
  clearInterval(tick);
  upstream.closeAllConnections();
  await new Promise<void>((closed) => {
    upstream.close(() => closed());
  });
});

async function text(path: string, init?: RequestInit): Promise<string> {
  return (await fetch(`${proxy.url}${path}`, init)).text();
}

async function stream(): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const answer = await fetch(`${proxy.url}/api/v1/sales/events?sku=A`);
  return answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
}

test("the fault proxy passes requests and streams", async () => {
  expect(await text("/x?y=1", { method: "POST", body: "hello" })).toBe("you asked for /x?y=1");
  expect(proxy.requests("POST", "/x")).toHaveLength(1);
  const reader = await stream();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain(": beat");
  await reader.cancel();
});

test("the fault proxy refuses everybody, and passes again", async () => {
  const reader = await stream();
  proxy.refuse();
  await expect(text("/x")).rejects.toThrow();
  await expect(drain(reader)).rejects.toThrow();
  expect(served).toEqual(["GET /api/v1/sales/events?sku=A"]);
  proxy.pass();
  expect(await text("/x")).toContain("/x");
});

test("the fault proxy cuts only streams", async () => {
  const reader = await stream();
  proxy.cutStreams();
  await expect(drain(reader)).rejects.toThrow();
  await expect(stream()).rejects.toThrow();
  expect(await text("/x")).toContain("/x");
  proxy.pass();
  await (await stream()).cancel();
});

test("the fault proxy ends streams in order", async () => {
  const reader = await stream();
  await reader.read();
  proxy.endStreams();
  await drain(reader);
  await (await stream()).cancel();
});

test("the fault proxy freezes a stream without ending it", async () => {
  const reader = await stream();
  await reader.read();
  proxy.freezeStreams();
  // What was under way may still come.
  let next = reader.read().then(() => "bytes");
  const quiet = () => new Promise<string>((tell) => setTimeout(() => tell("quiet"), 200));
  while ((await Promise.race([next, quiet()])) !== "quiet") next = reader.read().then(() => "bytes");
  expect(await Promise.race([next, quiet()])).toBe("quiet");
  await reader.cancel();
});

test("the fault proxy loses one answer of a request that was served", async () => {
  proxy.dropAnswer("/buy");
  await expect(text("/buy", { method: "POST", body: "{}" })).rejects.toThrow();
  expect(served).toEqual(["POST /buy"]);
  expect(proxy.isArmed).toBe(false);
  expect(await text("/buy", { method: "POST", body: "{}" })).toContain("/buy");
});

test("the fault proxy delays one answer", async () => {
  proxy.delayAnswer("/buy", 2_000);
  const began = Date.now();
  expect(await text("/buy")).toContain("/buy");
  expect(Date.now() - began).toBeGreaterThanOrEqual(1_995);
  const again = Date.now();
  await text("/buy");
  // Far from both: other tests and servers share the machine.
  expect(Date.now() - again).toBeLessThan(1_500);
});

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done) {
    // Read on until it breaks.
  }
}
