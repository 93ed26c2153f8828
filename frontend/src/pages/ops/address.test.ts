import { act, renderHook } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { changeParams, go, hrefOf, useParams, viewOf } from "./address";

beforeEach(() => history.replaceState(null, "", "/ops?view=consumers&sort=name"));

test.each([
  ["", "overview"],
  ["view=consumers", "consumers"],
  ["view=dead-letters", "dead-letters"],
  ["view=nonsense", "overview"],
  ["view=toString", "overview"],
])("the view of %j", (search, view) => {
  expect(viewOf(new URLSearchParams(search))).toBe(view);
});

test("parameters are changed in the address, and read from it", () => {
  const { result } = renderHook(() => useParams().toString());
  act(() => changeParams({ sort: "-lag", state: "all" }));
  expect(result.current).toBe("view=consumers&sort=-lag&state=all");
  expect(location.pathname + location.search).toBe("/ops?view=consumers&sort=-lag&state=all");
  act(() => changeParams({ sort: "" }));
  expect(result.current).toBe("view=consumers&state=all");
});

test("a step can be gone back, a replacement is none", () => {
  const before = history.length;
  changeParams({ sort: "lag" }, "replace");
  expect(history.length).toBe(before);
  go(hrefOf("topics", { topic: "a b" }));
  expect(location.search).toBe("?view=topics&topic=a+b");
  expect(history.length).toBe(before + 1);
});

test("back and forward are followed", () => {
  const { result } = renderHook(() => viewOf(useParams()));
  act(() => {
    history.replaceState(null, "", hrefOf("acts"));
    window.dispatchEvent(new PopStateEvent("popstate"));
  });
  expect(result.current).toBe("acts");
});
