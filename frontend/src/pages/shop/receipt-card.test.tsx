import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ReceiptCard } from "./receipt-card";

const receipt = {
  purchaseNo: "PUR-1",
  purchasedAt: "2026-11-23T12:10:00.123Z",
  user: "alice",
  productName: "Demo phone",
};

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

async function copy(clipboard: Partial<Clipboard> | undefined): Promise<string | null> {
  vi.stubGlobal("navigator", { clipboard });
  render(<ReceiptCard receipt={receipt} onStartOver={() => {}} />);
  fireEvent.click(screen.getByRole("button", { name: "Copy" }));
  await pass(0);
  return screen.getAllByRole("button")[0]?.textContent ?? null;
}

test("the number is copied, and it is said for a moment", async () => {
  const writeText = vi.fn(() => Promise.resolve());
  expect(await copy({ writeText })).toBe("Copied");
  expect(writeText).toHaveBeenCalledWith("PUR-1");
  await pass(2_500);
  expect(screen.getAllByRole("button")[0]?.textContent).toBe("Copy");
});

test("without a clipboard object the old way is taken", async () => {
  const taken: string[] = [];
  document.execCommand = () => {
    taken.push((document.activeElement as HTMLTextAreaElement).value);
    return true;
  };
  expect(await copy(undefined)).toBe("Copied");
  expect(taken).toEqual(["PUR-1"]);
  expect(document.querySelector("textarea")).toBeNull();
});

test("where nothing works the number is selected", async () => {
  document.execCommand = () => false;
  expect(await copy({ writeText: () => Promise.reject(new Error("denied")) })).toBe("Copy");
  expect(screen.getByText(/It is selected/)).toBeDefined();
  expect(getSelection()?.toString()).toBe("PUR-1");
});

test("the time is exact, with its zone", () => {
  render(<ReceiptCard receipt={receipt} onStartOver={() => {}} />);
  const time = document.querySelector("time");
  expect(time?.dateTime).toBe(receipt.purchasedAt);
  expect(time?.textContent).toMatch(/2026.*:10:00.*\p{L}/u);
});
