// @vitest-environment node
import { readFile } from "node:fs/promises";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";
import { expect, test } from "vitest";

test("the generated types are those of openapi.json", async () => {
  const document = new URL("../../openapi.json", import.meta.url);
  const fresh = COMMENT_HEADER + astToString(await openapiTS(document));
  const stored = await readFile(new URL("schema.ts", import.meta.url), "utf8");
  expect(
    stored === fresh,
    "src/api/schema.ts is not what openapi.json says: run `npm run types` and look at what changed",
  ).toBe(true);
});
