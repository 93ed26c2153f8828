/** Questions of an operator: each carries the key, and the name of who acts. */

import { type Answer, headerText, type Refusal, request, type Silence } from "./client";
import type { Guard } from "./shape";

/** What an operator enters once. */
export interface OpsAccess {
  key: string;
  operator: string;
}

/** Parameters of an address; what is not set or empty is left out. */
export type Query = Record<string, string | number | undefined>;

/** Why there is no answer to use. */
export type Problem = Refusal | Silence;

/** The service itself gives up after 10 s when the brokers are silent, and that is to be heard. */
const READ_TIMEOUT_MS = 15_000;
/** An order goes through the log, and what became of it comes back the same way. */
const ACT_TIMEOUT_MS = 30_000;

export class OpsClient {
  readonly operator: string;
  // Not to be seen by who prints this object.
  readonly #key: string;
  readonly #onRefused: () => void;

  /** `onRefused` is told when the service does not take the key. */
  constructor({ key, operator }: OpsAccess, onRefused: () => void = () => {}) {
    this.operator = operator;
    this.#key = key;
    this.#onRefused = onRefused;
  }

  get<T>(path: string, accept: Guard<T>, query: Query = {}, signal?: AbortSignal): Promise<Answer<T>> {
    return this.#ask<T>(withQuery(path, query), {
      timeoutMs: READ_TIMEOUT_MS,
      accept,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  post<T>(path: string, accept: Guard<T>, json: unknown, timeoutMs = ACT_TIMEOUT_MS): Promise<Answer<T>> {
    return this.#ask<T>(path, { method: "POST", json, timeoutMs, accept });
  }

  async #ask<T>(path: string, options: Parameters<typeof request<T>>[1]): Promise<Answer<T>> {
    const headers: Record<string, string> = { "X-Admin-Key": headerText(this.#key) };
    if (this.operator !== "") headers["X-Operator"] = headerText(this.operator);
    const answer = await request(path, { ...options, headers });
    if (answer.kind === "refusal" && answer.status === 401) this.#onRefused();
    return answer;
  }
}

/** What is wrong with an answer that is not a success. */
export function problemOf(answer: Answer<unknown>): Problem {
  return answer.kind === "refusal" ? answer : { kind: "silence" };
}

/** `path` with those parameters that are set. */
export function withQuery(path: string, query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") params.set(name, String(value));
  }
  return params.size === 0 ? path : `${path}?${params}`;
}
