import { useEffect, useMemo, useState } from "react";
import { type Answer, isRecord } from "../../../api/client";
import { problemOf } from "../../../api/ops-client";
import { readMessages, readNextMessages } from "../../../api/ops-topics";
import type { Message, Messages } from "../../../api/ops-types";
import { changeParams, hrefOf, useParams } from "../address";
import { count, plural } from "../format";
import { Moment } from "../parts/figures";
import { Headers, Payload } from "../parts/payload";
import { problemText } from "../parts/problem";
import { ViewHead } from "../parts/view-head";
import { ViewLink } from "../parts/view-link";
import { useWorkplace } from "../workplace";
import { formOf, type MessageForm, paramsOf, queryOf, readPosition, writePosition } from "./message-query";
import { MessageSearch } from "./message-search";

const PREVIEW_CHARS_MAX = 300;

/** What is in a topic. It is asked for once: what one reads must not move. */
export function MessagesView({ topic }: { topic: string }) {
  const params = useParams();
  const search = params.toString();
  const form = useMemo(() => formOf(new URLSearchParams(search)), [search]);
  const after = params.get("after") ?? "";
  const { answer, isAsking, askAgain } = useMessages(topic, form, after);
  return (
    <>
      <p>
        <ViewLink href={hrefOf("topics")}>All topics</ViewLink>
      </p>
      <ViewHead title={topic} />
      <MessageSearch
        form={form}
        onSearch={(next) => {
          changeParams(paramsOf(next));
          askAgain();
        }}
      />
      <p role="status" className="ops-step">
        {isAsking ? "Reading…" : answer?.kind === "success" && summary(answer.data)}
      </p>
      {answer !== undefined && answer.kind !== "success" && !isAsking && (
        <p role="alert" className="ops-fault">
          {problemText(problemOf(answer))}
        </p>
      )}
      {answer?.kind === "success" && (
        <MessageList
          messages={answer.data}
          isNewest={form.from === "newest" && after === ""}
          isAsking={isAsking}
        />
      )}
    </>
  );
}

function summary({ messages, scanned }: Messages): string {
  return `${plural(messages.length, "message")} of ${count(scanned)} looked at.`;
}

function useMessages(topic: string, form: MessageForm, after: string) {
  const { ops } = useWorkplace();
  const [answer, setAnswer] = useState<Answer<Messages>>();
  const [isAsking, setAsking] = useState(true);
  const [round, setRound] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another round asks the same once more
  useEffect(() => {
    const life = new AbortController();
    const { signal } = life;
    const position = readPosition(after);
    const asked =
      position === undefined
        ? readMessages(ops, topic, queryOf(form), signal)
        : readNextMessages(ops, topic, queryOf(form), position, signal);
    setAsking(true);
    void asked.then((answer) => {
      if (signal.aborted) return;
      setAnswer(answer);
      setAsking(false);
    });
    return () => life.abort();
  }, [ops, topic, form, after, round]);

  return { answer, isAsking, askAgain: () => setRound((round) => round + 1) };
}

function MessageList({
  messages: { messages, scanned, next },
  isNewest,
  isAsking,
}: {
  messages: Messages;
  isNewest: boolean;
  isAsking: boolean;
}) {
  return (
    <>
      {messages.length === 0 ? (
        <p className="ops-empty">{noneText(scanned, isNewest, next !== null)}</p>
      ) : (
        <ol className="ops-messages" aria-busy={isAsking} data-testid="messages">
          {messages.map((message) => (
            <li key={`${message.partition}-${message.offset}`} className="ops-card">
              <MessageCard message={message} isOpen={messages.length === 1} />
            </li>
          ))}
        </ol>
      )}
      {isNewest && messages.length > 0 && (
        <p className="hint">These are the newest. To see older ones, begin at an offset or at a moment.</p>
      )}
      {next !== null && (
        <button
          type="button"
          className="button button-quiet"
          onClick={() => {
            changeParams({ after: writePosition(next) });
            // One reads on from the top.
            document.querySelector<HTMLElement>("main h1")?.focus();
          }}
        >
          Next page
        </button>
      )}
    </>
  );
}

function noneText(scanned: number, isNewest: boolean, isMore: boolean): string {
  if (isMore) return "No message on this page is like this. There are more pages.";
  if (scanned === 0) return isNewest ? "There is no message here yet." : "There is no message from there on.";
  return isNewest
    ? `None of the newest ${count(scanned)} is like this. To look further back, begin at an offset or at a moment.`
    : "No message from there on is like this.";
}

function MessageCard({ message, isOpen }: { message: Message; isOpen: boolean }) {
  const { partition, offset, timestamp, key, headers, value, hex, schemaId, problem } = message;
  return (
    <article aria-label={`Partition ${partition}, offset ${offset}`}>
      <p className="ops-message-head">
        <b>
          {partition} / {offset}
        </b>
        {timestamp === null ? <span className="ops-unknown">no time</span> : <Moment iso={timestamp} />}
        <span>{key === null ? "no key" : <code>{key}</code>}</span>
      </p>
      <details open={isOpen}>
        <summary className={problem === null ? "ops-preview" : "ops-preview ops-fault"}>
          {preview(message)}
        </summary>
        <div className="ops-stack">
          {/* What is wrong with it is said above. */}
          <Payload value={value} hex={hex} schemaId={schemaId} problem={null} />
          <Headers headers={headers} />
        </div>
      </details>
    </article>
  );
}

/** What one looks for comes first, as the end may be cut off. */
function telling(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const first = ["outcome", "sku", "user_id"].filter((name) => name in value);
  return { ...Object.fromEntries(first.map((name) => [name, value[name]])), ...value };
}

/** What a message says, in a line that may be cut off. */
function preview({ value, hex, problem }: Message): string {
  if (problem !== null) return problem;
  if (value !== null && value !== undefined) {
    return JSON.stringify(telling(value)).slice(0, PREVIEW_CHARS_MAX);
  }
  return hex === null ? "No value: a tombstone." : hex.slice(0, PREVIEW_CHARS_MAX);
}
