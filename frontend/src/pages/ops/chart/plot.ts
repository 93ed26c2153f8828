/** Lines over time on a canvas. The only file that knows the library, and its styles; it is loaded when first needed. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clockTime } from "../format";
import type { ChartData } from "./chart";
import { isolated } from "./gaps";
import { strokeOf } from "./strokes";

const HEIGHT = 180;

export interface PlotOptions {
  labels: string[];
  format: (value: number) => string;
  /** The place of the cursor in the data; none outside. */
  onCursor: (index: number | undefined) => void;
}

export class Plot {
  readonly #plot: uPlot;
  readonly #life = new AbortController();
  readonly #resized: ResizeObserver;

  constructor(host: HTMLElement, data: ChartData, options: PlotOptions) {
    const colour = (name: string) => getComputedStyle(host).getPropertyValue(name).trim();
    this.#plot = new uPlot(settingsOf(host.clientWidth, colour, options), align(data), host);
    this.#resized = new ResizeObserver(() => this.#plot.setSize({ width: host.clientWidth, height: HEIGHT }));
    this.#resized.observe(host);
    const { signal } = this.#life;
    // The colours are asked for at each drawing.
    const redraw = () => this.#plot.redraw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
  }

  set(data: ChartData): void {
    this.#plot.setData(align(data));
  }

  destroy(): void {
    this.#life.abort();
    this.#resized.disconnect();
    this.#plot.destroy();
  }
}

/** Room for the longest label, such as "1 min 40 s", in the 12 px of the axis. */
function widthFor(labels: string[]): number {
  return Math.max(56, 20 + 7 * Math.max(0, ...labels.map(({ length }) => length)));
}

function align({ times, series }: ChartData): uPlot.AlignedData {
  return [times, ...series.map(({ values }) => values)];
}

function settingsOf(
  width: number,
  colour: (name: string) => string,
  { labels, format, onCursor }: PlotOptions,
): uPlot.Options {
  const axis = {
    stroke: () => colour("--ink-soft"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1 },
  };
  const ink = (place: number) => colour(`--series-${strokeOf(place).colour}`);
  return {
    width,
    height: HEIGHT,
    // Room for half of the last label of the axis.
    padding: [8, 32, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6, fill: (_, of) => ink(of - 1) } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.05 : 1] } },
    axes: [
      { ...axis, values: (_, splits) => splits.map(clockTime), space: 80 },
      { ...axis, values: (_, splits) => splits.map(format), size: (_, labels) => widthFor(labels ?? []) },
    ],
    series: [
      {},
      ...labels.map((label, place) => ({
        label,
        stroke: () => ink(place),
        width: 2,
        dash: strokeOf(place).dash,
        points: {
          show: false,
          size: 5,
          fill: () => ink(place),
          filter: (plot: uPlot, of: number) => isolated(plot.data[of] ?? []),
        },
      })),
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? undefined)] },
  };
}
