import { afterEach, expect, test, vi } from "vitest";
import { KeyRing } from "./key-ring";

const access = { key: "secret", operator: "ann" };

afterEach(() => sessionStorage.clear());

test("a key is in memory only, unless it is to be kept", () => {
  new KeyRing().take(access, false);
  expect(sessionStorage.length).toBe(0);
  expect(new KeyRing().getState().access).toBeUndefined();

  new KeyRing().take(access, true);
  expect(new KeyRing().getState().access).toEqual(access);
  expect(localStorage.length).toBe(0);
});

test("a key that is kept no longer leaves the storage", () => {
  new KeyRing().take(access, true);
  new KeyRing().take(access, false);
  expect(sessionStorage.length).toBe(0);
});

test("a forgotten key is nowhere, and no reproach", () => {
  const ring = new KeyRing();
  const told = vi.fn();
  ring.subscribe(told);
  ring.take(access, true);
  ring.forget();
  expect(sessionStorage.length).toBe(0);
  expect(ring.getState()).toEqual({ access: undefined, isRefused: false, operator: "" });
  expect(told).toHaveBeenCalledTimes(2);
});

test("a refused key goes, and who acted is remembered", () => {
  const ring = new KeyRing();
  ring.take(access, true);
  ring.refuse(access);
  expect(sessionStorage.length).toBe(0);
  expect(ring.getState()).toEqual({ access: undefined, isRefused: true, operator: "ann" });
});

test("a late refusal of an old key leaves the new one", () => {
  const ring = new KeyRing();
  ring.take(access, false);
  const next = { ...access, key: "other" };
  ring.take(next, false);
  ring.refuse(access);
  expect(ring.getState().access).toBe(next);
});

test.each(["nonsense", "[]", '{"key":1}'])("what is stored as %j is no key", (text) => {
  sessionStorage.setItem("flashsale.ops", text);
  expect(new KeyRing().getState().access).toBeUndefined();
});

test("forbidden storage is memory", () => {
  vi.stubGlobal("sessionStorage", undefined);
  const ring = new KeyRing();
  ring.take(access, true);
  expect(ring.getState().access).toEqual(access);
  ring.forget();
  expect(ring.getState().access).toBeUndefined();
  vi.unstubAllGlobals();
});
