/** Which messages of a topic the address asks for. */

import type { MessageQuery, Position } from "../../../api/ops-topics";

export type Start = "newest" | "offset" | "time";

/** What narrows it down, by the names of the address and of the service. */
export const FILTERS = ["partition", "key", "sku", "user", "outcome", "header"] as const;

/** What the inputs of the form hold, all as text. */
export interface MessageForm {
  from: Start;
  offset: string;
  /** ISO 8601, or empty. */
  time: string;
  limit: string;
  filters: Record<(typeof FILTERS)[number], string>;
}

export const LIMITS = ["20", "50", "100", "500"];
const LIMIT_DEFAULT = "50";

export function formOf(params: URLSearchParams): MessageForm {
  const from = params.get("from");
  const text = (name: string) => params.get(name) ?? "";
  const limit = text("limit");
  return {
    from: from === "offset" || from === "time" ? from : "newest",
    offset: text("offset"),
    time: text("time"),
    limit: LIMITS.includes(limit) ? limit : LIMIT_DEFAULT,
    filters: {
      partition: text("partition"),
      key: text("key"),
      sku: text("sku"),
      user: text("user"),
      outcome: text("outcome"),
      header: text("header"),
    },
  };
}

/** The parameters that say the same; a new question begins at its first page. */
export function paramsOf({ from, offset, time, limit, filters }: MessageForm): Record<string, string> {
  const trimmed = Object.entries(filters).map(([name, text]) => [name, text.trim()]);
  return {
    ...Object.fromEntries(trimmed),
    from: from === "newest" ? "" : from,
    offset: from === "offset" ? offset : "",
    time: from === "time" ? time : "",
    limit: limit === LIMIT_DEFAULT ? "" : limit,
    after: "",
  };
}

export function queryOf({ from, offset, time, limit, filters }: MessageForm): MessageQuery {
  return {
    ...filters,
    limit,
    ...(from === "offset" ? { offset } : {}),
    ...(from === "time" ? { time } : {}),
  };
}

/** `0:120,3:44` */
export function writePosition(position: Position): string {
  return Object.entries(position)
    .map(([partition, offset]) => `${partition}:${offset}`)
    .join(",");
}

/** Where a page that is not the first begins; nothing when the text tells no such thing. */
export function readPosition(text: string): Position | undefined {
  const places = [...text.matchAll(/(\d+):(\d+)/g)];
  if (places.length === 0) return undefined;
  return Object.fromEntries(places.map(([, partition, offset]) => [partition, Number(offset)]));
}
