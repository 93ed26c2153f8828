import { afterEach, expect, test, vi } from "vitest";
import { forget, onRemembered, recall, remember } from "./memory";

afterEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
});

test("what is remembered is recalled until it is forgotten", () => {
  expect(recall("a")).toBeUndefined();
  remember("a", "1");
  expect([recall("a"), localStorage.getItem("a")]).toEqual(["1", "1"]);
  forget("a");
  expect(recall("a")).toBeUndefined();
});

test("a browser that forbids it remembers until the page closes", () => {
  const forbid = () => {
    throw new DOMException("denied", "SecurityError");
  };
  vi.stubGlobal("localStorage", { getItem: forbid, setItem: forbid, removeItem: forbid });
  remember("b", "1");
  expect(recall("b")).toBe("1");
  forget("b");
  expect(recall("b")).toBeUndefined();
});

test("a full browser remembers until the page closes", () => {
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  remember("c", "1");
  expect(recall("c")).toBe("1");
  forget("c");
});

test("what another tab changes is told", () => {
  const changed = vi.fn();
  const life = new AbortController();
  onRemembered("d", changed, life.signal);
  const tell = (key: string | null) => window.dispatchEvent(new StorageEvent("storage", { key }));
  tell("e");
  expect(changed).not.toHaveBeenCalled();
  tell("d");
  tell(null);
  expect(changed).toHaveBeenCalledTimes(2);
  life.abort();
  tell("d");
  expect(changed).toHaveBeenCalledTimes(2);
});
