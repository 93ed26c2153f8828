import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Countdown, ShortCountdown } from "./countdown";

beforeEach(() => vi.useFakeTimers({ now: 0 }));
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** A server 400 ms ahead. */
const clock = { now: () => Date.now() + 400 };
const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

test("FE-1: it counts by the given clock, and changes when that does", async () => {
  render(<Countdown label="Ends in" target={65_000} clock={clock} />);
  const timer = screen.getByRole("timer");
  expect(timer.getAttribute("aria-label")).toBe("Ends in 1 minute 5 seconds");
  expect(timer.textContent).toBe("Ends in00hours01min05sec");
  await pass(590);
  expect(timer.textContent).toContain("05sec");
  await pass(20);
  expect(timer.textContent).toContain("04sec");
  await pass(63_000);
  expect(timer.textContent).toContain("01sec");
  await pass(10_000);
  expect(timer.getAttribute("aria-label")).toBe("Ends in 0 seconds");
});

test("FE-9: it is not announced each second", () => {
  render(<ShortCountdown label="Starts in" target={90_061_000 + 400} clock={clock} />);
  const timer = screen.getByRole("timer");
  expect(timer.getAttribute("aria-live")).toBe("off");
  expect(timer.getAttribute("aria-label")).toBe("Starts in 1 day 1 hour");
  expect(timer.textContent).toBe("Starts in 1 d 01:01:01");
});

test("days are shown when there are any", () => {
  render(<Countdown label="Starts in" target={2 * 86_400_000 + 400} clock={clock} />);
  expect(screen.getByRole("timer").textContent).toBe("Starts in2days00hours00min00sec");
});
