import { vi } from "vitest";
import type { Sale } from "../api/types";

/** A request that came in. */
export interface Seen {
  method: string;
  path: string;
  headers: Headers;
  json: unknown;
}

/** What is answered to one request: an answer, no answer ever, or a broken connection. */
export type Fate = { status: number; body: unknown; headers?: Record<string, string> } | "hangs" | "breaks";

/** A service for tests, in the place of `fetch`. It answers what it is told to, and remembers what it was asked. */
export class FakeService {
  readonly seen: Seen[] = [];
  readonly streams: FakeStream[] = [];
  sales: Sale[] = [];
  /** Answers of the next requests to a path, in their order; then what the service does by itself. */
  readonly #fates = new Map<string, Fate[]>();
  /** Answers of every request to a path. */
  readonly #rules = new Map<string, Fate>();

  constructor() {
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => this.#fetch(path, init));
  }

  /** Answers the next requests to `endpoint`, such as `POST /api/v1/purchases`. */
  next(endpoint: string, ...fates: Fate[]): void {
    this.#fates.set(endpoint, [...(this.#fates.get(endpoint) ?? []), ...fates]);
  }

  /** Answers every request to `endpoint`, or none in particular any more. */
  always(endpoint: string, fate: Fate | undefined): void {
    if (fate === undefined) this.#rules.delete(endpoint);
    else this.#rules.set(endpoint, fate);
  }

  /** Requests to `endpoint` so far. */
  requests(endpoint: string): Seen[] {
    return this.seen.filter(({ method, path }) => `${method} ${path.split("?")[0]}` === endpoint);
  }

  /** The newest stream; fails when there is none. */
  get stream(): FakeStream {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new Error("no stream was opened");
    return stream;
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const method = init.method ?? "GET";
    const json = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
    this.seen.push({ method, path, headers: new Headers(init.headers), json });
    const endpoint = `${method} ${path.split("?")[0]}`;
    const fate =
      this.#fates.get(endpoint)?.shift() ?? this.#rules.get(endpoint) ?? this.#answer(endpoint, path);
    if (fate === "breaks") throw new TypeError("Failed to fetch");
    if (fate === "hangs") return hang(init.signal);
    if (fate === "streams") {
      const stream = new FakeStream(init.signal);
      this.streams.push(stream);
      return stream.response;
    }
    const body = fate.status === 304 ? null : JSON.stringify(fate.body);
    return new Response(body, { status: fate.status, headers: fate.headers ?? {} });
  }

  #answer(endpoint: string, path: string): Fate | "streams" {
    const sku = new URLSearchParams(path.split("?")[1]).get("sku");
    const sale = this.sales.find((one) => one.sku === sku);
    const serverTime = new Date().toISOString();
    switch (endpoint) {
      case "GET /api/v1/catalogue":
        return accepted({ sales: this.sales, serverTime });
      case "GET /api/v1/sales":
        return sale === undefined ? refused(404, "NOT_FOUND") : accepted({ ...sale, serverTime });
      case "GET /api/v1/sales/events":
        return sale === undefined ? refused(404, "NOT_FOUND") : "streams";
      default:
        return refused(404, "NOT_FOUND");
    }
  }
}

/** An event stream, told what to say. */
export class FakeStream {
  readonly response: Response;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  isAborted = false;

  constructor(signal: AbortSignal | null | undefined) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    });
    signal?.addEventListener("abort", () => {
      this.isAborted = true;
      this.break();
    });
    this.response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  say(text: string): void {
    this.#controller?.enqueue(new TextEncoder().encode(text));
  }

  event(name: string, data: unknown, id?: string): void {
    this.say(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  end(): void {
    this.#controller?.close();
    this.#controller = undefined;
  }

  break(): void {
    this.#controller?.error(new TypeError("network error"));
    this.#controller = undefined;
  }
}

export function accepted(data: unknown, status = 200, headers: Record<string, string> = {}): Fate {
  return { status, body: { success: true, data }, headers };
}

export function refused(
  status: number,
  code: string,
  details: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Fate {
  return { status, body: { success: false, error: { code, message: code, ...details } }, headers };
}

function hang(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  });
}
