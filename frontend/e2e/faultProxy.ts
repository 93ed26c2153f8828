import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as send,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

const STREAMS = "/api/v1/sales/events";

/** A request that came by. */
export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  /** When, in ms since the epoch. */
  at: number;
}

type AnswerFault = { kind: "delay"; ms: number } | { kind: "drop" };

/**
 * Stands between the browser and the stack, and does what a bad network does.
 *
 * Every answer but a stream closes its connection: Chromium quietly repeats a request that was lost on a reused
 * connection, and then it would not be the page that is tested.
 */
export class FaultProxy {
  /** Everything that got through to the stack, in order. */
  readonly seen: Seen[] = [];
  #server: Server;
  #upstream: URL;
  #sockets = new Set<Socket>();
  #streams = new Set<ServerResponse>();
  #pendingTimers = new Set<NodeJS.Timeout>();
  #refusing = false;
  #refusingStreams = false;
  #streamsFrozen = false;
  #answerFaults = new Map<string, AnswerFault[]>();

  private constructor(upstream: string) {
    this.#upstream = new URL(upstream);
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) =>
      this.#pass(request, response),
    );
    this.#server.on("connection", (socket) => {
      if (this.#refusing) {
        socket.resetAndDestroy();
        return;
      }
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  /** Listens on a port of its own, in front of `upstream`. */
  static async start(upstream: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream);
    await new Promise<void>((ready, fail) => {
      proxy.#server.once("error", fail);
      proxy.#server.listen(0, "127.0.0.1", ready);
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests of this method and path that got through. */
  requests(method: string, path: string): Seen[] {
    return this.seen.filter((one) => one.method === method && one.path === path);
  }

  /** Everything is well again. */
  pass(): void {
    this.#refusing = false;
    this.#refusingStreams = false;
    this.#streamsFrozen = false;
    this.#answerFaults.clear();
  }

  /** Nobody gets through: connections are reset, the ones there are and every new one. */
  refuse(): void {
    this.#refusing = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Streams break and cannot be opened; everything else passes. */
  cutStreams(): void {
    this.#refusingStreams = true;
    this.cutStreamsOnce();
  }

  /** Streams break, and may be opened again at once. */
  cutStreamsOnce(): void {
    for (const stream of this.#streams) stream.socket?.resetAndDestroy();
  }

  /** Streams end in order, as when the service has had them open for long enough, and may be opened again. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  /** Streams stay open and say nothing any more, for good: a page that listens knows only what it was told. */
  freezeStreams(): void {
    this.#streamsFrozen = true;
  }

  /** The next answer to this path comes so much later. */
  delayAnswer(path: string, ms: number): void {
    this.#addFault(path, { kind: "delay", ms });
  }

  /** The next request to this path gets through, and its answer is lost with its connection. */
  dropAnswer(path: string): void {
    this.#addFault(path, { kind: "drop" });
  }

  /** Whether a fault that was asked for has not happened yet. */
  get isArmed(): boolean {
    return [...this.#answerFaults.values()].some((faults) => faults.length > 0);
  }

  async close(): Promise<void> {
    for (const timer of this.#pendingTimers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => {
      this.#server.close(() => closed());
    });
  }

  #addFault(path: string, fault: AnswerFault): void {
    this.#answerFaults.set(path, [...(this.#answerFaults.get(path) ?? []), fault]);
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const isStream = path === STREAMS;
    const socket = request.socket;
    if (isStream && this.#refusingStreams) {
      socket.resetAndDestroy();
      return;
    }
    this.seen.push({ method: request.method ?? "", path, headers: request.headers, at: Date.now() });
    const fault = this.#answerFaults.get(path)?.shift();
    if (isStream) {
      this.#streams.add(response);
      response.on("close", () => this.#streams.delete(response));
    }

    const onward = send(
      {
        host: this.#upstream.hostname,
        port: this.#upstream.port,
        method: request.method,
        path: request.url,
        headers: { ...request.headers, host: this.#upstream.host },
        agent: false,
        createConnection: () =>
          connect({ host: this.#upstream.hostname, port: Number(this.#upstream.port), noDelay: true }),
      },
      (answer) => {
        if (fault?.kind === "drop") {
          answer.resume();
          answer.on("end", () => socket.resetAndDestroy());
        } else if (fault?.kind === "delay") {
          answer.pause();
          this.#later(fault.ms, () => this.#answer(answer, response, isStream));
        } else {
          this.#answer(answer, response, isStream);
        }
      },
    );
    // Whoever is gone on one side is gone on the other.
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  #answer(answer: IncomingMessage, response: ServerResponse, isStream: boolean): void {
    const headers = { ...answer.headers };
    delete headers["transfer-encoding"];
    if (!isStream) headers.connection = "close";
    response.writeHead(answer.statusCode ?? 502, headers);
    response.flushHeaders();
    answer.on("error", () => response.destroy());
    if (isStream) {
      answer.on("data", (bytes) => {
        if (!this.#streamsFrozen && !response.writableEnded) response.write(bytes);
      });
      answer.on("end", () => response.end());
    } else {
      answer.pipe(response);
    }
  }

  #later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#pendingTimers.delete(timer);
      action();
    }, ms);
    this.#pendingTimers.add(timer);
  }
}
