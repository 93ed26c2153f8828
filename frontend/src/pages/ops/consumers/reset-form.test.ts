import { expect, test } from "vitest";
import { type ResetForm, requestOf } from "./reset-form";

const blank: ResetForm = { to: "earliest", offset: "9", time: "", group: " g ", topic: "", partitions: "" };

test.each<[Partial<ResetForm>, object]>([
  [{}, { to: "earliest" }],
  [{ to: "offset" }, { to: "offset", offset: 9 }],
  [
    { to: "time", time: "2026-11-23T12:00" },
    { to: "time", time: "2026-11-23T12:00:00.000Z" },
  ],
  [
    { to: "group", topic: "decisions" },
    { to: "group", group: "g", topic: "decisions" },
  ],
  [
    { to: "latest", partitions: "0, 3,5" },
    { to: "latest", partitions: [0, 3, 5] },
  ],
])("a form with %o asks only for what belongs to it", (different, request) => {
  expect(requestOf({ ...blank, ...different })).toEqual(request);
});
