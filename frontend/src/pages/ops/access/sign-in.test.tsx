import { cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accepted, FakeService, type Fate, refused } from "../../../testing/fake-service";
import { OPS, overviewFixture } from "../../../testing/ops-fixture";
import { KeyRing } from "./key-ring";
import { SignIn } from "./sign-in";

const OVERVIEW = `GET ${OPS}/overview`;

let service: FakeService;
let ring: KeyRing;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
  ring = new KeyRing();
});
afterEach(() => {
  cleanup();
  sessionStorage.clear();
});

const name = () => screen.getByLabelText<HTMLInputElement>("Your name");
const key = () => screen.getByLabelText<HTMLInputElement>("Admin key");
const alert = () => screen.getByRole("alert").textContent;
const draw = (isRefused = false, operator = "") =>
  render(<SignIn ring={ring} isRefused={isRefused} operator={operator} />);

async function enter(fate: Fate, isKept = false): Promise<void> {
  service.next(OVERVIEW, fate);
  draw();
  await user.type(name(), "ann");
  await user.type(key(), " secret ");
  if (isKept) await user.click(screen.getByLabelText("Keep until this tab closes"));
  await user.click(screen.getByRole("button", { name: "Sign in" }));
}

test("a key that the service takes is taken, with who acts", async () => {
  await enter(accepted(overviewFixture()));
  await waitFor(() => expect(ring.getState().access).toEqual({ key: "secret", operator: "ann" }));
  const [asked] = service.requests(OVERVIEW);
  expect(asked?.headers.get("X-Admin-Key")).toBe("secret");
  expect(asked?.headers.get("X-Operator")).toBe("ann");
  expect(asked?.path).not.toContain("secret");
  expect(sessionStorage.length).toBe(0);
});

test("a key is kept until the tab closes when that is wished", async () => {
  await enter(accepted(overviewFixture()), true);
  await waitFor(() => expect(sessionStorage.length).toBe(1));
});

test("a wrong key is told, and its input has the focus", async () => {
  await enter(refused(401, "UNAUTHORIZED"));
  await waitFor(() => expect(alert()).toBe("This is not the admin key."));
  expect(key().getAttribute("aria-invalid")).toBe("true");
  expect(document.activeElement).toBe(key());
  expect(ring.getState().access).toBeUndefined();
});

test.each<[string, Fate, string]>([
  ["no answer", "breaks", "cannot tell now"],
  ["a service that is busy", refused(503, "SERVICE_UNAVAILABLE"), "It says: SERVICE_UNAVAILABLE"],
  ["a network that is not let in", refused(403, "FORBIDDEN"), "whatever the key. It says: FORBIDDEN"],
])("%s is not a wrong key", async (_, fate, text) => {
  await enter(fate);
  await waitFor(() => expect(alert()).toContain(text));
  expect(key().getAttribute("aria-invalid")).toBeNull();
});

test("nothing is asked without a name and a key", async () => {
  draw();
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  expect(alert()).toBe("Enter your name first.");
  expect(document.activeElement).toBe(name());
  await user.type(name(), "x".repeat(65));
  await user.keyboard("{Enter}");
  expect(alert()).toContain("at most 64");
  await user.clear(name());
  await user.type(name(), "ann{Enter}");
  expect(alert()).toBe("Enter the admin key first.");
  expect(service.seen).toHaveLength(0);
});

test("a key that was refused later is told, and the name is still there", () => {
  draw(true, "ann");
  expect(alert()).toContain("no longer takes this key");
  expect(name().value).toBe("ann");
  expect(key().type).toBe("password");
});
