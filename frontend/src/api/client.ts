/** One request to the service, and everything that can come of it as a value. Nothing here throws. */

/** When a request left and when its answer was there, by this device's clock, in ms since 1970. */
export interface Timing {
  sentAt: number;
  receivedAt: number;
  /** When the service can have said it at the earliest: before `sentAt` if a cache kept it, unknown if for long. */
  saidAfter: number | undefined;
}

/** The service answered with what was asked for. */
export interface Success<T> {
  kind: "success";
  status: number;
  data: T;
  etag: string | undefined;
  timing: Timing;
}

/** What the caller has is still right (304). */
export interface Unchanged {
  kind: "unchanged";
}

/** The service answered, and said no. `error` has at least a code and a message. */
export interface Refusal {
  kind: "refusal";
  status: number;
  error: { code: string; message: string } & Record<string, unknown>;
  retryAfterMs: number | undefined;
}

/** No answer of the service: a timeout, a broken connection, or something that does not speak its envelope. */
export interface Silence {
  kind: "silence";
}

export type Answer<T> = Success<T> | Unchanged | Refusal | Silence;

export interface RequestOptions<T> {
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  json?: unknown;
  timeoutMs: number;
  /** The caller lost interest: the answer is `silence`, and is not to be used. */
  signal?: AbortSignal;
  /** Whether `data` is what was asked for; what is not counts as silence. */
  accept: (data: unknown) => data is T;
}

export async function request<T>(path: string, options: RequestOptions<T>): Promise<Answer<T>> {
  const { method = "GET", headers = {}, json, timeoutMs, signal, accept } = options;
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, timeoutMs);
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp);
  try {
    const sentAt = Date.now();
    const response = await fetch(path, {
      method,
      headers: json === undefined ? headers : { ...headers, "Content-Type": "application/json" },
      body: json === undefined ? null : JSON.stringify(json),
      // What the browser kept would tell an old time, and an old stock.
      cache: "no-store",
      signal: limit.signal,
    });
    if (response.status === 304) return { kind: "unchanged" };
    const receivedAt = Date.now();
    const saidAfter = earliest(response.headers, sentAt);
    return read(response, await response.json(), accept, { sentAt, receivedAt, saidAfter });
  } catch {
    return { kind: "silence" };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

/** How old an answer of nginx' cache can be. It keeps a status for a second, and counts whole ones. */
const KEPT_MS_MAX: Record<string, number> = { MISS: 0, EXPIRED: 0, BYPASS: 0, HIT: 2_000 };

/** When an answer to what was sent at `sentAt` can have been said first; unknown for what is served though it is old. */
function earliest(headers: Headers, sentAt: number): number | undefined {
  const nginx = headers.get("X-Cache-Status");
  const keptMs = nginx === null ? 0 : KEPT_MS_MAX[nginx];
  // Other caches say it in whole seconds. One in front of nginx keeps what nginx said of itself.
  const age = headers.get("Age");
  const ageMs = age === null ? 0 : (Number(age) + 1) * 1_000;
  if (keptMs === undefined || !Number.isFinite(ageMs)) return undefined;
  return sentAt - keptMs - ageMs;
}

function read<T>(
  response: Response,
  body: unknown,
  accept: (data: unknown) => data is T,
  timing: Timing,
): Answer<T> {
  if (!isRecord(body)) return { kind: "silence" };
  if (response.ok && body.success === true && accept(body.data)) {
    const etag = response.headers.get("ETag") ?? undefined;
    return { kind: "success", status: response.status, data: body.data, etag, timing };
  }
  const refusal = readRefusal(response, body);
  return refusal ?? { kind: "silence" };
}

/** The refusal that `body` is, if it is in the envelope. */
export function readRefusal(response: Response, body: unknown): Refusal | undefined {
  if (!isRecord(body) || body.success !== false) return undefined;
  const error = body.error;
  if (!isRecord(error)) return undefined;
  const { code, message, retryAfter } = error;
  if (typeof code !== "string" || typeof message !== "string") return undefined;
  const seconds =
    typeof retryAfter === "number" ? retryAfter : Number(response.headers.get("Retry-After") ?? "x");
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  return { kind: "refusal", status: response.status, error: { ...error, code, message }, retryAfterMs };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The bytes of `text` in UTF-8, a character each. The service reads the header as UTF-8, while `fetch` takes
 * only characters up to 255 and sends each as one byte: unchanged, "Zoë" would be refused and "王" throw.
 */
export function headerText(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}
