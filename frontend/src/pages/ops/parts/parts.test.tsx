import { act, cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Problem } from "../../../api/ops-client";
import { DataTable } from "./data-table";
import { Dialog } from "./dialog";
import { Figure } from "./figures";
import { Loaded } from "./loaded";
import { grouped, Payload } from "./payload";
import { problemText } from "./problem";

const user = userEvent.setup();
beforeEach(() => history.replaceState(null, "", "/ops?view=consumers"));
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("a table", () => {
  const draw = () =>
    render(
      <DataTable
        caption="Fruit"
        columns={[
          { id: "name", title: "Name", cell: ({ name }) => name, sortBy: ({ name }) => name },
          {
            id: "weight",
            title: "Weight",
            cell: ({ weight }) => weight,
            sortBy: (row) => row.weight,
            isNumeric: true,
          },
          { id: "note", title: "Note", cell: () => "-" },
        ]}
        rows={[
          { name: "pear", weight: 5 },
          { name: "apple", weight: 9 },
        ]}
        keyOf={({ name }) => name}
        details={({ name }) => <p>More of {name}</p>}
        sortParam="sort"
        empty="None."
      />,
    );
  const names = () => screen.getAllByRole("rowheader").map((cell) => cell.textContent);
  const header = (name: RegExp) => screen.getByRole("columnheader", { name });

  test("is sorted by its headers, and the address knows", async () => {
    draw();
    expect(names()).toEqual(["pear", "apple"]);
    await user.click(screen.getByRole("button", { name: /Weight/ }));
    expect(names()).toEqual(["apple", "pear"]);
    expect(location.search).toBe("?view=consumers&sort=-weight");
    expect(header(/Weight/).getAttribute("aria-sort")).toBe("descending");
    expect(header(/Name/).getAttribute("aria-sort")).toBe("none");
    await user.click(screen.getByRole("button", { name: /Weight/ }));
    expect(names()).toEqual(["pear", "apple"]);
    expect(header(/Note/).getAttribute("aria-sort")).toBeNull();
  });

  test("is sorted as the address says", () => {
    history.replaceState(null, "", "/ops?sort=name");
    draw();
    expect(names()).toEqual(["apple", "pear"]);
  });

  test("has rows that open", async () => {
    draw();
    const button = screen.getByRole("button", { name: "Details of pear" });
    expect(button.getAttribute("aria-expanded")).toBe("false");
    await user.click(button);
    expect(button.getAttribute("aria-expanded")).toBe("true");
    expect(document.getElementById(button.getAttribute("aria-controls") ?? "")?.textContent).toBe(
      "More of pear",
    );
    await user.click(button);
    expect(screen.queryByText("More of pear")).toBeNull();
  });

  test("without rows says so", () => {
    render(<DataTable caption="Fruit" columns={[]} rows={[]} keyOf={() => ""} empty="None." />);
    expect(screen.getByText("None.")).toBeDefined();
    expect(screen.queryByRole("table")).toBeNull();
  });
});

function Opener() {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Open
      </button>
      {isOpen && (
        <Dialog title="Sure?" onClose={() => setOpen(false)}>
          <button type="button" onClick={() => setOpen(false)}>
            Cancel
          </button>
        </Dialog>
      )}
    </>
  );
}

describe("a dialog", () => {
  test("has a name, and gives the focus back", async () => {
    render(<Opener />);
    await user.click(screen.getByRole("button", { name: "Open" }));
    const dialog = screen.getByRole("dialog", { name: "Sure?" });
    await user.click(within(dialog).getByRole("button", { name: "Cancel" }));
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Open" }));
  });

  test("is closed by Escape", async () => {
    render(<Opener />);
    await user.click(screen.getByRole("button", { name: "Open" }));
    act(() => {
      screen.getByRole("dialog").dispatchEvent(new Event("cancel", { cancelable: true }));
    });
    expect(screen.queryByRole("dialog")).toBeNull();
  });
});

describe("what was asked for", () => {
  const refresh = vi.fn();
  const draw = (state: { data?: string; at?: number; isLost?: boolean; problem?: Problem }) =>
    render(
      <Loaded
        polled={{
          data: state.data,
          at: state.at,
          problem: state.isLost === true ? { kind: "silence" } : state.problem,
          refresh,
        }}
        what="the fruit"
      >
        {(data) => <p>{data}</p>}
      </Loaded>,
    );

  test("is loading at first", () => {
    draw({});
    expect(screen.getByText("Loading the fruit…")).toBeDefined();
  });

  test("could not be had, and can be asked for", async () => {
    draw({ isLost: true });
    expect(screen.getByRole("alert").textContent).toContain("No news of the fruit");
    await user.click(screen.getByRole("button", { name: "Ask now" }));
    expect(refresh).toHaveBeenCalledOnce();
  });

  test("is not for everybody", () => {
    const error = { code: "FORBIDDEN", message: "This needs a key with the role admin." };
    draw({ problem: { kind: "refusal", status: 403, error, retryAfterMs: undefined } });
    const told = screen.getByRole("alert").textContent;
    expect(told).toContain("You may not see the fruit");
    expect(told).toContain("the role admin. Only this was refused: you are still signed in.");
    expect(told).not.toContain("keeps asking");
  });

  test("may be old, and says how old", () => {
    vi.useFakeTimers({ now: 100_000 });
    draw({ data: "apples", at: 88_000, isLost: true });
    expect(screen.getByText("apples")).toBeDefined();
    expect(screen.getByRole("status").textContent).toContain("What you see may be old");
    expect(screen.getByTestId("stale").textContent).toContain("Last data 12 seconds ago");
    act(() => {
      vi.advanceTimersByTime(3_000);
    });
    expect(screen.getByTestId("stale").textContent).toContain("Last data 15 seconds ago");
    // Seconds are not read out one by one.
    expect(screen.getByRole("status").textContent).not.toContain("seconds");
  });

  test("is fresh, and nothing is said", () => {
    draw({ data: "apples", at: 1 });
    expect(screen.getByTestId("stale").textContent).toBe("");
  });
});

test("a figure that nobody knows is not a zero", () => {
  const { container } = render(
    <>
      <Figure value={null} as={String} /> <Figure value={undefined} as={String} />{" "}
      <Figure value={0} as={String} />
    </>,
  );
  expect(container.textContent).toBe("unknown unknown 0");
});

test("a record is shown decoded, or by its bytes", () => {
  const { rerender } = render(<Payload value={{ a: [1] }} hex={null} problem={null} schemaId={4} />);
  expect(screen.getByLabelText("Value").textContent).toBe('{\n  "a": [\n    1\n  ]\n}');
  rerender(<Payload value={null} hex="07ff" problem="bad magic" schemaId={null} />);
  expect(screen.getByLabelText("Bytes in hexadecimal").textContent).toBe("07 ff");
  expect(screen.getByText("bad magic")).toBeDefined();
  rerender(<Payload value={null} hex={null} problem={null} schemaId={null} />);
  expect(screen.getByText("No value: a tombstone.")).toBeDefined();
  expect(grouped("00".repeat(17))).toBe(`${Array(16).fill("00").join(" ")}\n00`);
});

test("a refusal is told with what is wrong with each field", () => {
  const error = { code: "VALIDATION_ERROR", message: "Not valid.", fields: { offset: "must be a number" } };
  expect(problemText({ kind: "refusal", status: 400, error, retryAfterMs: undefined })).toBe(
    "Not valid. offset must be a number. (VALIDATION_ERROR)",
  );
});
