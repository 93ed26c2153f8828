import { beforeEach, expect, test, vi } from "vitest";
import { accepted, FakeService, refused } from "../testing/fake-service";
import {
  consumerFixture,
  consumersAnswer,
  OPS,
  orderFixture,
  partitionFixture,
} from "../testing/ops-fixture";
import { OpsClient } from "./ops-client";
import { orderConsumer, readConsumers } from "./ops-consumers";
import { isText } from "./shape";

let service: FakeService;
beforeEach(() => {
  service = new FakeService();
});

const secret = { key: "k-1", operator: "Zoë" };

test("each question has the key and who asks, and the key is in no address", async () => {
  service.next("GET /x", accepted("yes"));
  await new OpsClient(secret).get("/x", isText, { sku: "A B", limit: 5, class: "", more: undefined });
  const [seen] = service.requests("GET /x");
  expect(seen?.path).toBe("/x?sku=A+B&limit=5");
  expect(seen?.headers.get("X-Admin-Key")).toBe("k-1");
  const bytes = Uint8Array.from(seen?.headers.get("X-Operator") ?? "", (char) => char.charCodeAt(0));
  expect(new TextDecoder().decode(bytes)).toBe("Zoë");
  expect(JSON.stringify(new OpsClient(secret))).not.toContain("k-1");
});

test("only a 401 says that the key is not taken", async () => {
  const onRefused = vi.fn();
  const ops = new OpsClient(secret, onRefused);
  service.next("GET /x", refused(503, "SERVICE_UNAVAILABLE"), "breaks", refused(403, "FORBIDDEN"));
  service.next("GET /x", refused(401, "UNAUTHORIZED"));
  await ops.get("/x", isText);
  await ops.get("/x", isText);
  expect(await ops.get("/x", isText)).toMatchObject({ kind: "refusal", status: 403 });
  expect(onRefused).not.toHaveBeenCalled();
  expect(await ops.get("/x", isText)).toMatchObject({ kind: "refusal", status: 401 });
  expect(onRefused).toHaveBeenCalledOnce();
});

test("consumers with unknown figures are taken, those of another shape are not", async () => {
  const ops = new OpsClient(secret);
  const unknown = { lagRecords: null, lagSeconds: null, perSecond: null };
  const consumer = consumerFixture({ ...unknown, partitions: [partitionFixture(unknown)] });
  service.next(`GET ${OPS}/consumers`, accepted(consumersAnswer(consumer)));
  expect(await readConsumers(ops)).toMatchObject({ kind: "success" });
  service.next(`GET ${OPS}/consumers`, accepted(consumersAnswer({ ...consumer, verdict: "GREAT" as "OK" })));
  expect(await readConsumers(ops)).toEqual({ kind: "silence" });
});

test("consumers that were not looked at yet, and a word that came later, are taken", async () => {
  const ops = new OpsClient(secret);
  const consumer = consumerFixture({ state: "ASLEEP", order: orderFixture({ action: "UNKNOWN" }) });
  const answer = { ...consumersAnswer(consumer), at: null, problem: "no broker" };
  service.next(`GET ${OPS}/consumers`, accepted(answer));
  expect(await readConsumers(ops)).toMatchObject({ kind: "success", data: answer });
});

test("an order names the partitions only when it is for some", async () => {
  const ops = new OpsClient(secret);
  service.always(`POST ${OPS}/consumers/a%2Fb/pause`, accepted({ consumer: "a/b", order: orderFixture() }));
  await orderConsumer(ops, "a/b", "pause");
  await orderConsumer(ops, "a/b", "pause", [3]);
  const sent = service.requests(`POST ${OPS}/consumers/a%2Fb/pause`);
  expect(sent.map(({ json }) => json)).toEqual([{}, { partitions: [3] }]);
});
