/** Topics, and the messages in them. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type { Message, Messages, TopicDescription, TopicDrift, Topics } from "./ops-types";
import { isTime } from "./sales";
import { type Guard, isAnything, isFlag, isNumber, isText, listOf, orNull, recordOf, shaped } from "./shape";

const PATH = "/api/v1/ops/topics";

/** Which messages; without `offset` and `time` the newest, newest first. */
export interface MessageQuery {
  partition?: string;
  offset?: string;
  time?: string;
  limit?: string;
  key?: string;
  sku?: string;
  user?: string;
  outcome?: string;
  /** `name=value` */
  header?: string;
}

/** By the number of the partition: where to read on. */
export type Position = Record<string, number>;

const LIMIT_DEFAULT = 50;

export function readTopics(ops: OpsClient, signal?: AbortSignal): Promise<Answer<Topics>> {
  return ops.get(PATH, isTopics, {}, signal);
}

export function readMessages(
  ops: OpsClient,
  topic: string,
  query: MessageQuery,
  signal?: AbortSignal,
): Promise<Answer<Messages>> {
  return ops.get(`${PATH}/${encodeURIComponent(topic)}/messages`, isMessages, { ...query }, signal);
}

/** The messages from `position` on, which the `next` of an answer told: one question for each partition. */
export async function readNextMessages(
  ops: OpsClient,
  topic: string,
  query: MessageQuery,
  position: Position,
  signal?: AbortSignal,
): Promise<Answer<Messages>> {
  const { time: _, ...filters } = query;
  const places = Object.entries(position);
  const share = Math.max(1, Math.ceil(Number(query.limit || LIMIT_DEFAULT) / places.length));
  const answers = await Promise.all(
    places.map(([partition, offset]) =>
      readMessages(
        ops,
        topic,
        { ...filters, partition, offset: String(offset), limit: String(share) },
        signal,
      ),
    ),
  );
  const pages: Messages[] = [];
  for (const answer of answers) {
    // A part of a page would look like all of it.
    if (answer.kind !== "success") return answer;
    pages.push(answer.data);
  }
  const [first] = answers;
  if (first?.kind !== "success") return { kind: "silence" };
  return { ...first, data: joinPages(topic, pages) };
}

/** Pages of several partitions as one, in the order of time. */
export function joinPages(topic: string, pages: Messages[]): Messages {
  const messages = pages.flatMap((page) => page.messages);
  messages.sort((a, b) => writtenAt(a) - writtenAt(b) || a.partition - b.partition || a.offset - b.offset);
  const next: Position = Object.assign({}, ...pages.map((page) => page.next ?? {}));
  return {
    topic,
    messages,
    scanned: pages.reduce((sum, page) => sum + page.scanned, 0),
    next: Object.keys(next).length === 0 ? null : next,
  };
}

/** ms since 1970; what carries no time comes first. */
function writtenAt({ timestamp }: Message): number {
  return timestamp === null ? 0 : Date.parse(timestamp);
}

const isDrift: Guard<TopicDrift> = shaped({ setting: isText, wanted: isText, actual: isText });

const isTopic: Guard<TopicDescription> = shaped({
  name: isText,
  summary: orNull(isText),
  internal: isFlag,
  partitions: listOf(shaped({ partition: isNumber, first: isNumber, end: isNumber })),
  records: isNumber,
  replication: isNumber,
  settings: recordOf(isText),
  drift: listOf(isDrift),
});

const isTopics: Guard<Topics> = shaped({ topics: listOf(isTopic) });

const isMessage: Guard<Message> = shaped({
  partition: isNumber,
  offset: isNumber,
  timestamp: orNull(isTime),
  key: orNull(isText),
  headers: recordOf(isText),
  value: isAnything,
  hex: orNull(isText),
  schemaId: orNull(isNumber),
  problem: orNull(isText),
});

const isMessages: Guard<Messages> = shaped({
  topic: isText,
  messages: listOf(isMessage),
  scanned: isNumber,
  next: orNull(recordOf(isNumber)),
});
