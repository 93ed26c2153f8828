/** How far consumers were behind, as long as this page is open. The service keeps no such history. */

import type { Consumers } from "../../../api/ops-types";

/** At an answer every 2 s: 20 minutes. */
const SAMPLES_MAX = 600;
/** After so many seconds without a sample no line leads on: nobody looked, or nothing was known. */
const SILENCE_S = 15;

export interface LagSeries {
  /** Seconds since 1970, ascending. */
  times: number[];
  series: { label: string; values: (number | null)[] }[];
}

export class LagHistory {
  #samples: { at: number; lags: Map<string, number | null> }[] = [];

  add({ at, consumers }: Pick<Consumers, "at" | "consumers">): void {
    // The service itself has not looked yet.
    if (at === null) return;
    const moment = Date.parse(at) / 1_000;
    const last = this.#samples.at(-1);
    // The same answer once more, or one that was overtaken.
    if (last !== undefined && moment <= last.at) return;
    const lags = new Map(consumers.map(({ name, lagSeconds }) => [name, lagSeconds]));
    this.#samples = [...this.#samples, { at: moment, lags }].slice(-SAMPLES_MAX);
  }

  /** A gap, never a zero, where nothing was known. */
  series(): LagSeries {
    const samples = this.#samples.flatMap((sample, place) => {
      const before = this.#samples[place - 1];
      const isSilent = before !== undefined && sample.at - before.at > SILENCE_S;
      return isSilent ? [{ at: before.at + 1, lags: new Map<string, null>() }, sample] : [sample];
    });
    const names = new Set(samples.flatMap(({ lags }) => [...lags.keys()]));
    return {
      times: samples.map(({ at }) => at),
      series: [...names].sort().map((label) => ({
        label,
        values: samples.map(({ lags }) => lags.get(label) ?? null),
      })),
    };
  }
}
