import { cleanup, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import { messageFixture, OPS, renderOps, topicFixture } from "../../../testing/ops-fixture";
import { formOf, readPosition, writePosition } from "./message-query";
import { TopicsView } from "./topics-view";

const TOPICS = `GET ${OPS}/topics`;
const MESSAGES = `GET ${OPS}/topics/decisions/messages`;

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
});
afterEach(cleanup);

const page = (messages: unknown[], next: unknown = null) =>
  accepted({ topic: "decisions", messages, scanned: 40, next });
const asked = () => service.requests(MESSAGES).map(({ path }) => path.split("?")[1]);

test("topics that drifted from their papers are told, setting by setting", async () => {
  const drift = [{ setting: "retention.ms", wanted: "2000", actual: "1000" }];
  service.always(
    TOPICS,
    accepted({
      topics: [
        topicFixture({ drift }),
        topicFixture({ name: "status" }),
        topicFixture({ name: "foreign", summary: null }),
        topicFixture({ name: "__offsets", internal: true }),
      ],
    }),
  );
  renderOps(<TopicsView />, "/ops?view=topics");
  const table = await screen.findByTestId("topics");
  const rows = [...table.querySelectorAll("tbody tr")].map((row) => row.textContent);
  expect(rows).toHaveLength(3);
  expect(rows[0]).toContain("1 setting driftedretention.ms: 1000, wanted 2000");
  expect(rows[1]).toContain("as its paper says");
  expect(rows[2]).toContain("no paper");
  await user.click(screen.getByLabelText("Internal ones too"));
  expect(location.search).toBe("?view=topics&internal=1");
  expect(screen.getByRole("link", { name: "__offsets" })).toBeDefined();
});

test("a topic leads to its newest messages", async () => {
  service.always(TOPICS, accepted({ topics: [topicFixture()] }));
  service.always(MESSAGES, page([messageFixture()]));
  renderOps(<TopicsView />, "/ops?view=topics");
  await user.click(await screen.findByRole("link", { name: "decisions" }));
  expect(location.search).toBe("?view=topics&topic=decisions");
  expect((await screen.findByLabelText("Value")).textContent).toBe(
    '{\n  "sku": "DEMO",\n  "outcome": "ACCEPTED"\n}',
  );
  expect(screen.getByText("1 message of 40 looked at.")).toBeDefined();
  expect(asked()).toEqual(["limit=50"]);
});

test("a message that cannot be decoded is shown by its bytes, with why", async () => {
  service.always(MESSAGES, page([messageFixture({ value: null, hex: "0701", problem: "first byte is 7" })]));
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions");
  expect((await screen.findByLabelText("Bytes in hexadecimal")).textContent).toBe("07 01");
  expect(screen.getByText("first byte is 7")).toBeDefined();
});

test("several messages are a line each, and open", async () => {
  const odd = { value: null, hex: "07", problem: "first byte is 7", timestamp: null };
  const tombstone = { value: null, headers: {} };
  service.always(
    MESSAGES,
    page([
      messageFixture(),
      messageFixture({ offset: 8, ...odd }),
      messageFixture({ offset: 9, ...tombstone }),
    ]),
  );
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions");
  const messages = await waitFor(() => screen.getAllByRole("article"));
  expect(messages.map((message) => message.querySelector("summary")?.textContent)).toEqual([
    '{"outcome":"ACCEPTED","sku":"DEMO"}',
    "first byte is 7",
    "No value: a tombstone.",
  ]);
  expect(messages.map((message) => message.querySelector("details")?.open)).toEqual([false, false, false]);
  expect(messages[1]?.textContent).toContain("no time");
  expect(screen.getByText(/To see older ones/)).toBeDefined();
});

test("an empty topic says so", async () => {
  service.always(MESSAGES, accepted({ topic: "decisions", messages: [], scanned: 0, next: null }));
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions");
  await screen.findByText("There is no message here yet.");
  expect(screen.queryByText(/To see older ones/)).toBeNull();
});

test("what is searched for is in the address, and in the question", async () => {
  service.always(MESSAGES, page([]));
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions&after=0:4");
  await screen.findByText("No message from there on is like this.");
  await user.selectOptions(screen.getByLabelText("From"), "offset");
  await user.type(screen.getByLabelText("Offset"), "12");
  await user.type(screen.getByLabelText("SKU"), "DEMO");
  await user.type(screen.getByLabelText("Header"), "a=b");
  await user.selectOptions(screen.getByLabelText("At most"), "20");
  await user.click(screen.getByRole("button", { name: "Read" }));
  await waitFor(() => expect(asked().at(-1)).toBe("sku=DEMO&header=a%3Db&limit=20&offset=12"));
  expect(location.search).toBe(
    "?view=topics&topic=decisions&sku=DEMO&header=a%3Db&from=offset&offset=12&limit=20",
  );
});

test("the address alone brings a search back", async () => {
  service.always(MESSAGES, page([]));
  renderOps(
    <TopicsView />,
    "/ops?view=topics&topic=decisions&from=time&time=2026-11-23T12%3A00%3A00.000Z&user=alice",
  );
  await waitFor(() => expect(asked()).toEqual(["user=alice&limit=50&time=2026-11-23T12%3A00%3A00.000Z"]));
  expect(screen.getByLabelText<HTMLInputElement>("Moment (UTC)").value).toContain("2026-11-23T12:00");
  expect(screen.getByLabelText<HTMLInputElement>("Shopper").value).toBe("alice");
});

test("the next page goes on where each partition was left", async () => {
  service.next(MESSAGES, page([messageFixture()], { 0: 8, 1: 3 }));
  service.next(MESSAGES, page([messageFixture({ offset: 8 })]));
  service.always(MESSAGES, page([messageFixture({ partition: 1, offset: 3 })]));
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions");
  await user.click(await screen.findByRole("button", { name: "Next page" }));
  await waitFor(() =>
    expect(asked().slice(1)).toEqual(["partition=0&limit=25&offset=8", "partition=1&limit=25&offset=3"]),
  );
  await waitFor(() => expect(screen.queryByRole("button", { name: "Next page" })).toBeNull());
  expect(new URLSearchParams(location.search).get("after")).toBe("0:8,1:3");
});

test("a refusal is told, and one can ask again", async () => {
  service.next(MESSAGES, refused(400, "VALIDATION_ERROR", { fields: { header: "is not name=value" } }));
  service.always(MESSAGES, page([]));
  renderOps(<TopicsView />, "/ops?view=topics&topic=decisions&header=x");
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("header is not name=value"));
  await user.click(screen.getByRole("button", { name: "Read" }));
  await screen.findByText(/^None of the newest 40 is like this\. To look further back/);
});

test("a place in the log goes into the address and comes out of it", () => {
  expect(readPosition(writePosition({ 0: 8, 11: 3 }))).toEqual({ 0: 8, 11: 3 });
  expect([readPosition(""), readPosition("x")]).toEqual([undefined, undefined]);
  expect(formOf(new URLSearchParams("limit=9999&from=never"))).toMatchObject({ limit: "50", from: "newest" });
});
