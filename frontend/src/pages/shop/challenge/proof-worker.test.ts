import { expect, test, vi } from "vitest";

test("the worker says how far it is, and then the number", async () => {
  const said: unknown[] = [];
  const listeners: ((event: { data: unknown }) => void)[] = [];
  vi.stubGlobal("addEventListener", (_: string, listener: (event: { data: unknown }) => void) =>
    listeners.push(listener),
  );
  vi.stubGlobal("postMessage", (news: unknown) => said.push(news));
  await import("./proof-worker");
  expect(said).toEqual([]);
  listeners[0]?.({ data: { challenge: "abc", difficultyBits: 16 } });
  expect(said).toEqual([
    { kind: "tried", tries: 32_768 },
    { kind: "found", nonce: "1000040900" },
  ]);
});
