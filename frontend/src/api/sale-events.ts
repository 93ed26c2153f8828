/**
 * The event stream of one sale. Read with `fetch` and not with `EventSource`, which hides heartbeats and status
 * codes, and cannot start with a `Last-Event-ID`.
 */

import { createParser, type EventSourceMessage } from "eventsource-parser";
import { isRecord, type Refusal, readRefusal } from "./client";
import { isEndReason, isSale, isSaleState, isUnits } from "./sales";
import type { EndReason, Sale, SaleState } from "./types";

/** The service sends a comment every 15 s; a stream this quiet is dead. */
export const STREAM_SILENCE_MAX_MS = 40_000;
/** How long the answer may take to begin. */
export const STREAM_OPEN_MAX_MS = 10_000;

export type SaleEvent =
  /** The whole truth. */
  | { type: "initial"; sale: Sale }
  | { type: "stock-update"; stock: number }
  | { type: "state-change"; state: SaleState; reason: EndReason | undefined }
  /** Events are missing, or it is another sale now; an `initial` follows. */
  | { type: "reset" };

export interface StreamHandlers {
  onOpen(): void;
  onEvent(event: SaleEvent): void;
  /** The id to resume after, whenever it changes. */
  onId(id: string): void;
  /** How long to wait before a reconnect, as the service wishes. */
  onRetry(milliseconds: number): void;
}

export type StreamEnd =
  /** It was open, and ended or broke. */
  | { kind: "ended" }
  /** It was open, and nothing came for too long. */
  | { kind: "silent" }
  | { kind: "refused"; refusal: Refusal }
  | { kind: "unreachable" };

/** Follows the events of `sku` after `lastEventId` until the stream ends; never rejects. */
export async function followSale(
  sku: string,
  lastEventId: string | undefined,
  handlers: StreamHandlers,
  signal: AbortSignal,
): Promise<StreamEnd> {
  const watchdog = new Watchdog(signal);
  let open = false;
  try {
    watchdog.expect(STREAM_OPEN_MAX_MS);
    const response = await fetch(`/api/v1/sales/events?sku=${encodeURIComponent(sku)}`, {
      headers: {
        Accept: "text/event-stream",
        ...(lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId }),
      },
      cache: "no-store",
      signal: watchdog.signal,
    });
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream") === true;
    if (!response.ok || !isStream || response.body === null) {
      const refusal = readRefusal(response, await response.json());
      return refusal === undefined ? { kind: "unreachable" } : { kind: "refused", refusal };
    }
    open = true;
    handlers.onOpen();
    await readAll(response.body, handlers, watchdog);
    return { kind: "ended" };
  } catch {
    if (!open) return { kind: "unreachable" };
    return { kind: watchdog.barked ? "silent" : "ended" };
  } finally {
    watchdog.rest();
  }
}

async function readAll(
  body: ReadableStream<Uint8Array>,
  handlers: StreamHandlers,
  watchdog: Watchdog,
): Promise<void> {
  const parser = createParser({
    onEvent(message) {
      if (message.id !== undefined) handlers.onId(message.id);
      const event = parseEvent(message);
      if (event !== undefined) handlers.onEvent(event);
    },
    onRetry: (milliseconds) => handlers.onRetry(milliseconds),
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    watchdog.expect(STREAM_SILENCE_MAX_MS);
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
  }
}

/** Aborts `signal` when what is expected does not come in time. */
class Watchdog {
  readonly #limit = new AbortController();
  readonly #parent: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;
  barked = false;

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#limit.abort();
    parent.addEventListener("abort", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#limit.signal;
  }

  expect(withinMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.barked = true;
      this.#limit.abort();
    }, withinMs);
  }

  rest(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener("abort", this.#abort);
    // Also ends a body of which nobody reads the rest.
    this.#limit.abort();
  }

  readonly #abort = () => this.#limit.abort();
}

/** The event that `message` is; none when it is of a kind that this page does not know. */
export function parseEvent(message: EventSourceMessage): SaleEvent | undefined {
  const data = parseJson(message.data);
  switch (message.event) {
    case "initial":
      return isSale(data) ? { type: "initial", sale: data } : undefined;
    case "stock-update":
      return isRecord(data) && isUnits(data.stock) ? { type: "stock-update", stock: data.stock } : undefined;
    case "state-change": {
      if (!isRecord(data) || !isSaleState(data.state)) return undefined;
      const reason = isEndReason(data.reason) ? data.reason : undefined;
      return { type: "state-change", state: data.state, reason };
    }
    case "reset":
      return { type: "reset" };
    default:
      return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
