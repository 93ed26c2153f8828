import { afterEach, expect, test } from "vitest";
import {
  dropAttempt,
  dropReceipt,
  saveAttempt,
  savedAttempt,
  savedIdentifier,
  savedReceipt,
  saveIdentifier,
  saveReceipt,
} from "./saved";

afterEach(() => localStorage.clear());

const attempt = { sku: "DEMO", user: "alice", key: "k-1", startTime: "2026-11-23T12:00:00.000Z" };
const receipt = {
  purchaseNo: "PUR-1",
  purchasedAt: "2026-11-23T12:00:00.123Z",
  user: "alice",
  productName: "Demo phone",
};

test("an attempt is kept for its SKU", () => {
  saveAttempt(attempt);
  expect(savedAttempt("DEMO")).toEqual(attempt);
  expect(savedAttempt("OTHER")).toBeUndefined();
  dropAttempt(attempt);
  expect(savedAttempt("DEMO")).toBeUndefined();
});

test("an attempt that another tab has put in its place stays", () => {
  saveAttempt({ ...attempt, key: "k-2" });
  dropAttempt(attempt);
  expect(savedAttempt("DEMO")?.key).toBe("k-2");
});

test("a receipt is kept for its SKU", () => {
  saveReceipt("DEMO", receipt);
  expect(savedReceipt("DEMO")).toEqual(receipt);
  dropReceipt("DEMO");
  expect(savedReceipt("DEMO")).toBeUndefined();
});

test.each(["", "{", "null", "[]", "7", '"x"', "{}", '{"purchaseNo":1}', '{"sku":"DEMO","user":""}'])(
  "what is none of ours is nothing: %s",
  (text) => {
    localStorage.setItem("flashsale:attempt:DEMO", text);
    localStorage.setItem("flashsale:receipt:DEMO", text);
    expect(savedAttempt("DEMO")).toBeUndefined();
    expect(savedReceipt("DEMO")).toBeUndefined();
  },
);

test("a receipt with no time in it, and an attempt for another SKU, are nothing", () => {
  localStorage.setItem("flashsale:receipt:DEMO", JSON.stringify({ ...receipt, purchasedAt: "soon" }));
  localStorage.setItem("flashsale:attempt:DEMO", JSON.stringify({ ...attempt, sku: "OTHER" }));
  expect(savedReceipt("DEMO")).toBeUndefined();
  expect(savedAttempt("DEMO")).toBeUndefined();
});

test("the identifier is kept for the next visit", () => {
  expect(savedIdentifier()).toBe("");
  saveIdentifier("alice");
  expect(savedIdentifier()).toBe("alice");
});
