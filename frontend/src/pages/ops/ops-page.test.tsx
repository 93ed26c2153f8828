import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../../app";
import { accepted, FakeService, refused } from "../../testing/fake-service";
import {
  consumerFixture,
  consumersAnswer,
  OPS,
  overviewFixture,
  productFixture,
  topicFixture,
} from "../../testing/ops-fixture";

// The app loads it when it is needed; here that is no part of what is waited for.
import "./ops-page";

vi.mock("./chart/plot", () => ({
  Plot: class {
    set() {}
    destroy() {}
  },
}));

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
  service.always(`GET ${OPS}/overview`, accepted(overviewFixture()));
  service.always(`GET ${OPS}/consumers`, accepted(consumersAnswer(consumerFixture())));
  service.always(`GET ${OPS}/acts`, accepted({ acts: [] }));
});
afterEach(() => {
  cleanup();
  sessionStorage.clear();
});

async function open(address = "/ops"): Promise<void> {
  history.replaceState(null, "", address);
  render(<App path="/ops" search="" />);
  await user.type(await screen.findByLabelText("Your name"), "ann");
  await user.type(screen.getByLabelText("Admin key"), "secret{Enter}");
  await screen.findByRole("navigation", { name: "Views" });
}
const title = () => screen.getByRole("heading", { level: 1 }).textContent;

test("the console asks for the key, and then shows the view of the address", async () => {
  await open("/ops?view=acts");
  expect(title()).toBe("Acts");
  expect(document.activeElement).toBe(screen.getByRole("heading", { level: 1 }));
  expect(document.title).toBe("Acts – Flashsale console");
  expect(screen.getByRole("link", { name: "Acts" }).getAttribute("aria-current")).toBe("page");
  expect(location.href).not.toContain("secret");
  expect(service.seen.every(({ path }) => !path.includes("secret"))).toBe(true);
});

test("a view is reached by its link, takes the focus, and back leads back", async () => {
  await open();
  expect(title()).toBe("Overview");
  await user.click(screen.getByRole("link", { name: "Consumers" }));
  expect(title()).toBe("Consumers");
  expect(location.search).toBe("?view=consumers");
  expect(document.activeElement).toBe(screen.getByRole("heading", { level: 1 }));
  act(() => {
    history.replaceState(null, "", "/ops?view=overview");
    window.dispatchEvent(new PopStateEvent("popstate"));
  });
  expect(title()).toBe("Overview");
});

test("what a view shows one of takes the focus too", async () => {
  service.always(`GET ${OPS}/topics`, accepted({ topics: [topicFixture()] }));
  service.always(`GET ${OPS}/topics/decisions/messages`, refused(503, "SERVICE_UNAVAILABLE"));
  await open("/ops?view=topics");
  await user.click(await screen.findByRole("link", { name: "decisions" }));
  expect(title()).toBe("decisions");
  expect(document.activeElement).toBe(screen.getByRole("heading", { level: 1 }));
});

test("a key that is refused later brings the form back", async () => {
  await open();
  service.always(`GET ${OPS}/acts`, refused(401, "UNAUTHORIZED"));
  await user.click(screen.getByRole("link", { name: "Acts" }));
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("no longer takes this key"));
  expect(screen.getByLabelText<HTMLInputElement>("Your name").value).toBe("ann");
  const key = screen.getByLabelText<HTMLInputElement>("Admin key");
  expect(key.value).toBe("");
  expect(document.activeElement).toBe(key);
});

test("a key whose role does not suffice is told which one would, and stays", async () => {
  const message = "This needs a key with the role operator; the role of yours is viewer.";
  service.always("GET /api/v1/products", accepted([productFixture()]));
  service.always("POST /api/v1/products/DEMO/pause", refused(403, "FORBIDDEN", { message }));
  await open("/ops?view=sales");
  await user.click(await screen.findByRole("button", { name: "Pause DEMO" }));
  const told = `${message} Only this was refused: you are still signed in.`;
  await screen.findByText(told);
  expect(screen.getByRole("navigation", { name: "Views" })).toBeDefined();
  await user.click(screen.getByRole("button", { name: "Create a sale…" }));
  service.always("POST /api/v1/products", refused(403, "FORBIDDEN", { message: "Not with this role." }));
  await user.click(screen.getByRole("button", { name: "Create" }));
  await screen.findByText(/^Not with this role\. Only this/);
  expect(service.seen.at(-1)?.headers.get("X-Admin-Key")).toBe("secret");
});

test("the key can be forgotten", async () => {
  await open();
  await user.click(screen.getByRole("button", { name: "Forget the key" }));
  expect(screen.getByLabelText<HTMLInputElement>("Your name").value).toBe("");
  expect(document.activeElement).toBe(screen.getByLabelText("Your name"));
  expect(sessionStorage.length).toBe(0);
  const asked = service.seen.length;
  await act(() => new Promise((done) => setTimeout(done, 50)));
  expect(service.seen.length).toBe(asked);
});

test("a key that was kept needs no form", async () => {
  sessionStorage.setItem("flashsale.ops", JSON.stringify({ key: "secret", operator: "bob" }));
  history.replaceState(null, "", "/ops");
  render(<App path="/ops/" search="" />);
  await screen.findByRole("navigation", { name: "Views" });
  expect(screen.getByText("bob")).toBeDefined();
  await waitFor(() =>
    expect(service.requests(`GET ${OPS}/overview`)[0]?.headers.get("X-Operator")).toBe("bob"),
  );
});

test("an address that only begins like it is none of the console's", async () => {
  render(<App path="/opsis" search="" />);
  await waitFor(() => expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Sales"));
});
