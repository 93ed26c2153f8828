import { beforeEach, expect, test } from "vitest";
import { accepted, FakeService } from "../testing/fake-service";
import { messageFixture, OPS } from "../testing/ops-fixture";
import { OpsClient } from "./ops-client";
import { joinPages, readNextMessages } from "./ops-topics";

const MESSAGES = `GET ${OPS}/topics/decisions/messages`;

let service: FakeService;
const ops = new OpsClient({ key: "k", operator: "ann" });
beforeEach(() => {
  service = new FakeService();
});

const page = (messages: unknown[], next: unknown) =>
  accepted({ topic: "decisions", messages, scanned: 10, next });
const go = () =>
  readNextMessages(
    ops,
    "decisions",
    { sku: "A", time: "2026-11-23T12:00:00.000Z", limit: "50" },
    { 0: 8, 2: 40 },
  );

test("the next page is asked for of each partition, and joined in the order of time", async () => {
  service.next(
    MESSAGES,
    page([messageFixture({ offset: 8, timestamp: "2026-11-23T12:00:02.000Z" })], { 0: 9 }),
    page([messageFixture({ partition: 2, offset: 40, timestamp: "2026-11-23T12:00:01.000Z" })], null),
  );
  const answer = await go();
  expect(service.requests(MESSAGES).map(({ path }) => path.split("?")[1])).toEqual([
    "sku=A&limit=25&partition=0&offset=8",
    "sku=A&limit=25&partition=2&offset=40",
  ]);
  if (answer.kind !== "success") throw new Error("no answer");
  expect(answer.data.messages.map(({ offset }) => offset)).toEqual([40, 8]);
  expect(answer.data).toMatchObject({ scanned: 20, next: { 0: 9 } });
});

test("what carries no time has a place all the same", () => {
  const first = messageFixture({ offset: 8, timestamp: null });
  const pages = [{ topic: "decisions", messages: [messageFixture(), first], scanned: 2, next: null }];
  expect(joinPages("decisions", pages).messages.map(({ offset }) => offset)).toEqual([8, 7]);
});

test("a page of which a part is missing is none", async () => {
  service.next(MESSAGES, page([], null), "breaks");
  expect(await go()).toEqual({ kind: "silence" });
});

test("the last page says so", async () => {
  service.always(MESSAGES, page([], null));
  expect(await go()).toMatchObject({ data: { next: null } });
});
