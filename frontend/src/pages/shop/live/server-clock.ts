/** When the service said its time; `sentAt` is unknown for an event that came unasked. In ms since 1970. */
export interface ClockReading {
  serverTime: number;
  sentAt: number | undefined;
  receivedAt: number;
}

/** An event that came unasked was under way no longer than this, as far as anyone can say. */
const PUSH_DELAY_MAX_MS = 1_000;
/** How much an estimate's error grows: 1 ms a second is more than clocks drift, and lets a wrong one go. */
const ERROR_GROWTH = 0.001;

/** The service's clock, estimated from what it says (FE-1). Before the first reading it is this device's. */
export class ServerClock {
  #best: { offset: number; error: number; takenAt: number } | undefined;

  /** Takes a reading; it is used when its error is smaller than what the error of the best has grown to. */
  take({ serverTime, sentAt, receivedAt }: ClockReading): void {
    const underWay = Math.max(0, receivedAt - (sentAt ?? receivedAt - PUSH_DELAY_MAX_MS));
    const error = underWay / 2;
    const middle = receivedAt - error;
    if (this.#best !== undefined && error >= this.#errorAt(receivedAt, this.#best)) return;
    this.#best = { offset: serverTime - middle, error, takenAt: receivedAt };
  }

  /** The service's time, in ms since 1970. */
  now(): number {
    return Date.now() + (this.#best?.offset ?? 0);
  }

  #errorAt(time: number, { error, takenAt }: { error: number; takenAt: number }): number {
    // A clock that was set back makes the age negative; then the estimate is as doubtful.
    return error + Math.abs(time - takenAt) * ERROR_GROWTH;
  }
}
