import { act, cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Sale } from "../../api/types";
import { proofFixture } from "../../testing/challenge-fixture";
import { accepted, FakeService, type Fate, refused } from "../../testing/fake-service";
import { fakeWorkers } from "../../testing/fake-worker";
import { saleFixture } from "../../testing/sale-fixture";
import { Checkout } from "./buying/checkout";
import { ServerClock } from "./live/server-clock";
import { PurchasePanel } from "./purchase-panel";

const POST = "POST /api/v1/purchases";
const receipt = { purchaseNo: "PUR-1", purchasedAt: "2026-11-23T12:10:00.123Z" };

let service: FakeService;
let checkout: Checkout;
const user = userEvent.setup({ advanceTimers: (milliseconds) => vi.advanceTimersByTimeAsync(milliseconds) });

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  // Testing Library moves only the clock of Jest on by itself.
  vi.stubGlobal("jest", {
    advanceTimersByTime: (milliseconds: number) => vi.advanceTimersByTime(milliseconds),
  });
  service = new FakeService();
});
afterEach(() => {
  checkout.stop();
  cleanup();
  localStorage.clear();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));
const input = () => screen.getByLabelText<HTMLInputElement>(/identifier/i);
const button = () => screen.getByRole<HTMLButtonElement>("button");
const outcome = () => screen.getByTestId("outcome");

function open(sale: Sale | undefined = saleFixture()) {
  checkout = new Checkout("DEMO", new ServerClock());
  checkout.start();
  if (sale !== undefined) checkout.takeSale(sale);
  const view = render(<PurchasePanel sale={sale} checkout={checkout} />);
  return (next: Sale) => {
    checkout.takeSale(next);
    view.rerender(<PurchasePanel sale={next} checkout={checkout} />);
  };
}

async function buy(fate: Fate): Promise<void> {
  service.next(POST, fate);
  open();
  await user.type(input(), "alice");
  await user.click(button());
  await pass(0);
}

describe("FE-3: the button", () => {
  test.each([
    [{ state: "UPCOMING" }, "Not open yet"],
    [{ state: "ACTIVE", paused: true }, "Paused"],
    [{ state: "ENDED", endReason: "SOLD_OUT" }, "Sold out"],
    [{ state: "ENDED", endReason: "TIME_EXPIRED" }, "Sale ended"],
  ] as const)("does not work for %o", async (different, name) => {
    open(saleFixture(different));
    expect(button().textContent).toBe(name);
    expect(button().disabled).toBe(true);
    await user.click(button());
    if (!input().disabled) await user.type(input(), "alice{Enter}");
    expect(service.requests(POST)).toHaveLength(0);
  });

  test("works while the sale is active, and from the moment it is", async () => {
    const change = open(saleFixture({ state: "UPCOMING" }));
    await user.type(input(), "alice");
    change(saleFixture());
    expect(button().textContent).toBe("Buy now");
    expect(button().disabled).toBe(false);
    expect(input().value).toBe("alice");
  });

  test("FE-8: is busy while an attempt is under way", async () => {
    await buy("hangs");
    expect(button().textContent).toBe("Sending…");
    expect(button().disabled).toBe(true);
    await pass(8_000);
    expect(screen.getByText(/No answer yet. Trying again \(2 of 6\)/)).toBeDefined();
  });
});

describe("FE-5: an identifier that is none", () => {
  test("is told beside the input, which keeps the focus", async () => {
    open();
    await user.type(input(), "   {Enter}");
    expect(input().getAttribute("aria-invalid")).toBe("true");
    const why = document.getElementById(input().getAttribute("aria-describedby") ?? "");
    expect(why?.textContent).toBe("Enter your identifier first.");
    expect(document.activeElement).toBe(input());
    expect(service.requests(POST)).toHaveLength(0);
    await user.type(input(), "a");
    expect(input().getAttribute("aria-invalid")).toBe("false");
  });

  test("is told also when the button is pressed", async () => {
    open();
    await user.click(button());
    expect(input().getAttribute("aria-invalid")).toBe("true");
    expect(document.activeElement).toBe(input());
  });

  test("that only the service refuses is told there as well", async () => {
    await buy(refused(400, "VALIDATION_ERROR", { fields: { userId: "no" } }));
    expect(outcome().dataset.outcome).toBe("invalid");
    expect(input().getAttribute("aria-invalid")).toBe("true");
    expect(document.activeElement).toBe(input());
  });
});

describe("FE-4: each outcome", () => {
  test.each([
    ["purchased", "It’s yours", accepted(receipt)],
    ["pending", "Confirmed — being written to the records", accepted({ ...receipt, status: "PENDING" }, 202)],
    ["already-purchased", "You already have one", refused(200, "ALREADY_PURCHASED", { purchase: receipt })],
    ["sold-out", "Sold out", refused(200, "SOLD_OUT")],
    ["not-active", "Not open yet", refused(200, "SALE_NOT_ACTIVE", { reason: "NOT_STARTED" })],
    ["not-active", "The sale is paused", refused(200, "SALE_NOT_ACTIVE", { reason: "PAUSED" })],
    ["not-active", "The sale has ended", refused(200, "SALE_NOT_ACTIVE", { reason: "TIME_EXPIRED" })],
    ["not-active", "This sale was replaced", refused(200, "SALE_NOT_ACTIVE", { reason: "SALE_REPLACED" })],
    ["not-active", "This sale is gone", refused(404, "NOT_FOUND")],
    ["rate-limited", "One try a second, please", refused(429, "RATE_LIMITED", { retryAfter: 2 })],
    ["busy", "The shop is very busy", refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "9" })],
    ["invalid", "The shop did not understand this page", refused(409, "IDEMPOTENCY_KEY_REUSED")],
  ])("%s: %s", async (kind, headline, fate) => {
    await buy(fate);
    expect(outcome().dataset.outcome).toBe(kind);
    expect(outcome().querySelector(".outcome-headline")?.textContent).toBe(headline);
    const region = outcome().closest("[role=status], [role=alert]");
    expect(region?.getAttribute("role")).toBe(kind === "busy" || kind === "invalid" ? "alert" : "status");
  });

  test("unknown can be checked again", async () => {
    service.always(POST, "breaks");
    await buy("breaks");
    await pass(120_000);
    expect(outcome().dataset.outcome).toBe("unknown");
    service.always(POST, accepted(receipt));
    await user.click(screen.getByRole("button", { name: "Check again" }));
    await pass(0);
    expect(outcome().dataset.outcome).toBe("purchased");
  });

  test("rate-limited counts down, then the button works again", async () => {
    await buy(refused(429, "RATE_LIMITED", { retryAfter: 3 }));
    expect(outcome().textContent).toContain("Try again in 3 s.");
    expect(button().disabled).toBe(true);
    await pass(2_000);
    expect(outcome().textContent).toContain("Try again in 1 s.");
    await pass(1_250);
    expect(outcome().textContent).toContain("You can try again now.");
    expect(button().disabled).toBe(false);
    service.next(POST, accepted(receipt));
    await user.click(button());
    await pass(0);
    expect(outcome().dataset.outcome).toBe("purchased");
  });

  test("sold out stops the button, whatever the stock still says", async () => {
    await buy(refused(200, "SOLD_OUT"));
    expect(button().textContent).toBe("Sold out");
    expect(button().disabled).toBe(true);
  });
});

describe("a sale with a challenge", () => {
  const CHALLENGE = "GET /api/v1/purchases/challenge";

  async function buyIn(challenge: "PROOF_OF_WORK" | "CAPTCHA"): Promise<void> {
    open(saleFixture({ challenge }));
    await user.type(input(), "alice");
    await user.click(button());
    await pass(0);
  }

  test("says once what the browser does, and shows to the eye how far it is", async () => {
    const workers = fakeWorkers();
    service.always(CHALLENGE, accepted(proofFixture()));
    await buyIn("PROOF_OF_WORK");
    expect(button().textContent).toBe("Checking…");
    expect(button().disabled).toBe(true);
    const status = screen.getByRole("status");
    const text = status.textContent;
    expect(text).toMatch(/your browser does a short calculation/);
    const bar = status.querySelector("[aria-hidden=true]");
    const fill = bar?.firstElementChild as HTMLElement;
    expect(fill.style.transform).toBe("scaleX(0)");
    act(() => workers[0]?.says({ kind: "tried", tries: 2 ** 18 }));
    expect(fill.style.transform).toMatch(/^scaleX\(0\.63/);
    expect(status.textContent).toBe(text);
    service.next(POST, accepted(receipt));
    act(() => workers[0]?.says({ kind: "found", nonce: "1" }));
    await pass(0);
    expect(outcome().dataset.outcome).toBe("purchased");
    expect(status.querySelector("[aria-hidden=true].progress-bar")).toBeNull();
  });

  test("is silent while it prepares", async () => {
    const workers = fakeWorkers();
    service.always(CHALLENGE, accepted(proofFixture()));
    open(saleFixture({ challenge: "PROOF_OF_WORK" }));
    await user.type(input(), "alice");
    await pass(3_000);
    expect(workers).toHaveLength(1);
    expect(button().textContent).toBe("Buy now");
    expect(screen.getByRole("status").textContent).toBe("");
  });

  test("that this browser cannot meet says so", async () => {
    vi.stubGlobal("Worker", undefined);
    service.always(CHALLENGE, accepted(proofFixture()));
    await buyIn("PROOF_OF_WORK");
    expect(outcome().dataset.outcome).toBe("unproved");
    expect(outcome().textContent).toContain("Your browser could not do the check");
    expect(outcome().closest("[role=alert]")).not.toBeNull();
    expect(button().textContent).toBe("Buy now");
    expect(button().disabled).toBe(false);
  });

  test("that the service does not take as met says so", async () => {
    const refusal = refused(403, "CHALLENGE_REQUIRED", { challenge: { kind: "NONE" } });
    service.always(POST, refusal);
    await buy(refusal);
    expect(outcome().textContent).toContain("The check did not succeed");
  });

  test("that is a CAPTCHA the page does not have says so", async () => {
    await buyIn("CAPTCHA");
    expect(outcome().textContent).toContain("This page cannot show the check");
    expect(service.requests(POST)).toHaveLength(0);
  });

  test("that is a CAPTCHA of the shop waits for it", async () => {
    let solve = (_: string) => {};
    window.flashsaleCaptcha = () => new Promise((resolve) => (solve = resolve));
    service.always(CHALLENGE, accepted({ kind: "CAPTCHA", siteKey: "site", verifier: "captcha.example" }));
    service.next(POST, accepted(receipt));
    await buyIn("CAPTCHA");
    expect(button().textContent).toBe("Checking…");
    expect(screen.getByRole("status").textContent).toMatch(/complete the shop’s check/);
    solve("token");
    await pass(0);
    delete window.flashsaleCaptcha;
    expect(outcome().dataset.outcome).toBe("purchased");
    expect(service.requests(POST)[0]?.headers.get("X-Challenge-Response")).toBe("token");
  });

  test("that is a CAPTCHA which was closed can be shown again", async () => {
    window.flashsaleCaptcha = () => Promise.reject(new Error("closed"));
    service.always(CHALLENGE, accepted({ kind: "CAPTCHA", siteKey: "site", verifier: "captcha.example" }));
    await buyIn("CAPTCHA");
    delete window.flashsaleCaptcha;
    expect(outcome().textContent).toContain("The check was not completed");
    expect(button().disabled).toBe(false);
  });
});

describe("FE-6: the receipt", () => {
  test("takes the place of the form, and the focus that was in it", async () => {
    await buy(accepted(receipt));
    const card = screen.getByTestId("receipt");
    expect(screen.getByTestId("purchase-no").textContent).toBe("PUR-1");
    expect(card.textContent).toContain("Demo phone");
    expect(card.textContent).toContain("alice");
    expect(screen.queryByLabelText(/identifier/i)).toBeNull();
    expect(document.activeElement).toBe(card);
  });

  test("is there after a reload, and pulls no focus", async () => {
    await buy(accepted(receipt));
    cleanup();
    open(undefined);
    expect(screen.getByTestId("purchase-no").textContent).toBe("PUR-1");
    expect(outcome().dataset.outcome).toBe("purchased");
    expect(document.activeElement).toBe(document.body);
  });

  test("gives way to the form for somebody else", async () => {
    await buy(accepted(receipt));
    await user.click(screen.getByRole("button", { name: "Buy as somebody else" }));
    expect(screen.queryByTestId("receipt")).toBeNull();
    expect(screen.queryByTestId("outcome")).toBeNull();
    expect(input().value).toBe("");
    expect(document.activeElement).toBe(input());
  });
});

test("the identifier is there at the next visit", async () => {
  await buy(refused(200, "SALE_NOT_ACTIVE", { reason: "PAUSED" }));
  cleanup();
  open();
  expect(input().value).toBe("alice");
});
