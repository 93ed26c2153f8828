import type { Timing } from "../../../api/client";

/** When the service said its time, in ms since 1970; `saidAfter` is unknown for an event that came unasked. */
export interface ClockReading {
  serverTime: number;
  saidAfter: number | undefined;
  receivedAt: number;
}

/** What makes the service's time out of this device's lies between these, in ms; known at a time of this device. */
interface Offset {
  least: number;
  most: number;
  knownAt: number;
}

/** An event that came unasked was under way no longer than this, as far as anyone can say. */
const PUSH_DELAY_MAX_MS = 1_000;
/** How much an estimate's error grows: 1 ms a second is more than clocks drift, and lets a wrong one go. */
const ERROR_GROWTH = 0.001;

/** The service's clock, estimated from what it says (FE-1). Before the first reading it is this device's. */
export class ServerClock {
  #offset: Offset | undefined;

  /** Takes a reading: what remains is what it and all before it allow. */
  take({ serverTime, saidAfter, receivedAt }: ClockReading): void {
    const earliest = Math.min(receivedAt, saidAfter ?? receivedAt - PUSH_DELAY_MAX_MS);
    const said = { least: serverTime - receivedAt, most: serverTime - earliest, knownAt: receivedAt };
    this.#offset = this.#offset === undefined ? said : combined(aged(this.#offset, receivedAt), said);
  }

  /** Takes the time in an answer; one that a cache kept for nobody knows how long tells none. */
  takeAnswer(serverTime: string, { saidAfter, receivedAt }: Timing): void {
    if (saidAfter !== undefined) this.take({ serverTime: Date.parse(serverTime), saidAfter, receivedAt });
  }

  /** The service's time, in ms since 1970. */
  now(): number {
    return Date.now() + (this.#offset === undefined ? 0 : (this.#offset.least + this.#offset.most) / 2);
  }
}

function aged({ least, most, knownAt }: Offset, time: number): Offset {
  // A clock that was set back makes the age negative; then the estimate is as doubtful.
  const doubt = Math.abs(time - knownAt) * ERROR_GROWTH;
  return { least: least - doubt, most: most + doubt, knownAt: time };
}

/** What both allow; the closer one when they contradict each other. */
function combined(known: Offset, said: Offset): Offset {
  const least = Math.max(known.least, said.least);
  const most = Math.min(known.most, said.most);
  if (least <= most) return { least, most, knownAt: said.knownAt };
  return said.most - said.least < known.most - known.least ? said : known;
}
