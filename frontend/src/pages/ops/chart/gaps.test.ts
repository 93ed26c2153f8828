import { expect, test } from "vitest";
import { isolated } from "./gaps";

test.each([
  [
    [null, 4, null, 5, 6, null, 0],
    [1, 6],
  ],
  [[3], [0]],
  [[1, 2], []],
  [[], []],
])("of %j they are at %j", (values, places) => {
  expect(isolated(values)).toEqual(places);
});
