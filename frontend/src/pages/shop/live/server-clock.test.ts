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
    clock.take({ serverTime: 5_000_000, sentAt: 999_900, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_050);
    vi.advanceTimersByTime(2_000);
    expect(clock.now()).toBe(5_002_050);
  });

  test("keeps the reading with the smallest error", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, sentAt: 999_980, receivedAt: 1_000_000 });
    clock.take({ serverTime: 5_000_400, sentAt: 999_000, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_010);
    clock.take({ serverTime: 5_000_005, sentAt: 999_998, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_006);
  });

  test("holds an event that came unasked for less exact than an answer", () => {
    const clock = new ServerClock();
    clock.take({ serverTime: 5_000_000, sentAt: undefined, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_500);
    clock.take({ serverTime: 5_000_000, sentAt: 999_800, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_100);
    clock.take({ serverTime: 5_000_000, sentAt: undefined, receivedAt: 1_000_000 });
    expect(clock.now()).toBe(5_000_100);
  });

  test.each([
    ["slept", 3_600_000],
    ["was set back", -3_600_000],
  ])("lets an old estimate go after the device %s", (_, jump) => {
    const clock = new ServerClock();
    clock.take({ serverTime: 1_000_000, sentAt: 1_000_000, receivedAt: 1_000_000 });
    vi.setSystemTime(1_000_000 + jump);
    clock.take({ serverTime: 1_000_100, sentAt: Date.now() - 200, receivedAt: Date.now() });
    expect(clock.now()).toBe(1_000_200);
  });
});
