/** How far consumers were behind, as long as this page is open. The service keeps no such history. */

import type { Consumers } from "../../../api/ops-types";

/** At an answer every 2 s: 20 minutes. */
const SAMPLES_MAX = 600;

export interface LagSeries {
  /** Seconds since 1970, ascending. */
  times: number[];
  series: { label: string; values: (number | null)[] }[];
}

export class LagHistory {
  #samples: { at: number; lags: Map<string, number | null> }[] = [];

  add({ at, consumers }: Pick<Consumers, "at" | "consumers">): void {
    const moment = Date.parse(at) / 1_000;
    const last = this.#samples.at(-1);
    // The same answer once more, or one that was overtaken.
    if (last !== undefined && moment <= last.at) return;
    const lags = new Map(consumers.map(({ name, lagSeconds }) => [name, lagSeconds]));
    this.#samples = [...this.#samples, { at: moment, lags }].slice(-SAMPLES_MAX);
  }

  /** A gap, never a zero, where nothing was known. */
  series(): LagSeries {
    const names = new Set(this.#samples.flatMap(({ lags }) => [...lags.keys()]));
    return {
      times: this.#samples.map(({ at }) => at),
      series: [...names].sort().map((label) => ({
        label,
        values: this.#samples.map(({ lags }) => lags.get(label) ?? null),
      })),
    };
  }
}
