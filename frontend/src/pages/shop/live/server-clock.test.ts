import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ServerClock } from "./server-clock";

describe("FE-1: the server's clock", () => {
  beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => vi.useRealTimers());

  test("is this device's before the first reading", () => {
    expect(new ServerClock().now()).toBe(1_000_000);
  });

  test("takes the middle of the round trip for the moment of the reading", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, saidAfter: 999_900, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_050);
    vi.advanceTimersByTime(2_000);
    expect(clock.now()).toBe(5_002_050);
  });

  test("is narrowed down by answers that a cache kept for different times", () => {
    const clock = new ServerClock();
    // The service is at 5,000,000 when this device is at 1,000,000; the answers are 0.1, 1.9 and 1 s old.
    const old = (ms: number) =>
      clock.take({ serverTime: 5_000_000 - ms, saidAfter: 998_000, receivedAt: 1_000_000 });
    old(100);
    expect(clock.now()).toBe(5_000_900);
    old(1_900);
    expect(clock.now()).toBe(5_000_000);
    old(1_000);
    expect(clock.now()).toBe(5_000_000);
  });

  test("does not go back for an old answer", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, saidAfter: 999_980, receivedAt: 1_000_000 });
    for (const ms of [500, 1_990]) {
      clock.take({ serverTime: 5_000_000 - ms, saidAfter: 998_000, receivedAt: 1_000_000 });
      expect(Math.abs(clock.now() - 5_000_010)).toBeLessThanOrEqual(10);
    }
  });

  test("takes no time from an answer that a cache kept for nobody knows how long", () => {
    const clock = new ServerClock();
    const answer = { sentAt: 1_000_000, receivedAt: 1_000_000 };
    clock.takeAnswer(new Date(5_000_000).toISOString(), { ...answer, saidAfter: undefined });
    expect(clock.now()).toBe(1_000_000);
    clock.takeAnswer(new Date(5_000_000).toISOString(), { ...answer, saidAfter: 999_000 });
    expect(clock.now()).toBe(5_000_500);
  });

  test("keeps the reading with the smallest error", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, saidAfter: 999_980, receivedAt: 1_000_000 });
    clock.take({ serverTime: 5_000_400, saidAfter: 999_000, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_010);
    clock.take({ serverTime: 5_000_005, saidAfter: 999_998, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_006);
  });

  test("holds an event that came unasked for less exact than an answer", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, saidAfter: undefined, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_500);
    clock.take({ serverTime: 5_000_000, saidAfter: 999_800, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_100);
    clock.take({ serverTime: 5_000_000, saidAfter: undefined, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_100);
  });

  test.each([
    ["slept", 3_600_000],
    ["was set back", -3_600_000],
  ])("lets an old estimate go after the device %s", (_, jump) => {
    const clock = new ServerClock();
    clock.take({ serverTime: 1_000_000, saidAfter: 1_000_000, receivedAt: 1_000_000 });
    vi.setSystemTime(1_000_000 + jump);
    clock.take({ serverTime: 1_000_100, saidAfter: Date.now() - 200, receivedAt: Date.now() });
    expect(clock.now()).toBe(1_000_200);
  });
});
