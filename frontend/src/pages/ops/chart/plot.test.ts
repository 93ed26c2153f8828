import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { rate } from "../format";
import type { ChartData } from "./chart";
import { Plot } from "./plot";

/** What was drawn: each stroke with its colour and dashes. */
let strokes: { colour: string; dash: number[] }[];
let texts: string[];

/** A canvas that draws nothing, but takes note. */
class FakeContext {
  strokeStyle = "";
  #dash: number[] = [];
  setLineDash(dash: number[]): void {
    this.#dash = dash;
  }
  stroke(): void {
    strokes.push({ colour: this.strokeStyle, dash: this.#dash });
  }
  fillText(text: string): void {
    texts.push(text);
  }
  measureText(): { width: number } {
    return { width: 10 };
  }
}

function fakeContext(): FakeContext {
  const ignore = () => {};
  return new Proxy(new FakeContext(), {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : (value ?? ignore);
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

class FakePath {
  moveTo(): void {}
  lineTo(): void {}
  rect(): void {}
  arc(): void {}
  closePath(): void {}
}

let plot: Plot | undefined;
beforeEach(() => {
  strokes = [];
  texts = [];
  vi.stubGlobal("Path2D", FakePath);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(
    () => fakeContext() as unknown as GPUCanvasContext,
  );
});
afterEach(() => {
  plot?.destroy();
  document.body.replaceChildren();
});

const data = (...values: (number | null)[]): ChartData => ({
  times: values.map((_, place) => 1_795_435_200 + place),
  series: [
    { label: "Accepted", values },
    { label: "Sold out", values: values.map(() => 1) },
  ],
});

/** Shows it, and waits until it is drawn. */
async function draw(shown: ChartData): Promise<HTMLElement> {
  const host = document.createElement("div");
  Object.defineProperty(host, "clientWidth", { value: 600 });
  for (const [name, colour] of Object.entries({ 1: "red", 2: "blue" })) {
    host.style.setProperty(`--series-${name}`, colour);
  }
  document.body.append(host);
  plot = new Plot(host, shown, { labels: ["Accepted", "Sold out"], format: rate, onCursor: () => {} });
  await vi.waitFor(() => expect(strokes.length).toBeGreaterThan(0));
  return host;
}

test("each line has a colour and dashes of its own, and the axes are told in UTC", async () => {
  const host = await draw(data(1, 3, 2));
  expect(host.querySelector("canvas")).not.toBeNull();
  expect(strokes).toContainEqual({ colour: "red", dash: [] });
  expect(strokes).toContainEqual({ colour: "blue", dash: [6, 4] });
  expect(texts.some((text) => /^12:00:0\d$/.test(text))).toBe(true);
  expect(texts.some((text) => text.endsWith(" /s"))).toBe(true);
});

test("new data is drawn, gaps and all, and nothing is left behind", async () => {
  const host = await draw(data(1, 3));
  strokes = [];
  plot?.set(data(1, null, 2, null));
  await vi.waitFor(() => expect(strokes).toContainEqual({ colour: "blue", dash: [6, 4] }));
  plot?.destroy();
  plot = undefined;
  expect(host.childElementCount).toBe(0);
});
