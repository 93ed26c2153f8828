import { randomBytes, randomUUID } from "node:crypto";
import { expect } from "@playwright/test";
import { sharedStack } from "./stack.ts";

/** Known to everybody: that of every local stack. */
export const ADMIN_KEY = "dev-admin-key-12345678";

/** A sale that a test has made. */
export interface TestSale {
  sku: string;
  name: string;
  stock: number;
  /** When it starts and ends, in ms since the epoch. */
  start: number;
  end: number;
}

/** What a sale is to be; everything may be left out. */
export interface SaleWish {
  sku?: string;
  name?: string;
  stock?: number;
  /** ms from now; negative is in the past. */
  startsIn?: number;
  endsIn?: number;
  challenge?: "PROOF_OF_WORK";
}

/** A purchase as the API tells it. */
export interface Purchase {
  purchaseNo: string;
  purchasedAt: string;
}

/** An answer of the API. */
export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look wherever they like
  body: any;
}

async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: unknown,
): Promise<Answer> {
  const answer = await fetch(`${sharedStack().url}${path}`, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  return { status: answer.status, body: await answer.json() };
}

async function administer(method: string, path: string, body?: unknown): Promise<Answer> {
  const answer = await ask(method, `/api/v1/products${path}`, { "X-Admin-Key": ADMIN_KEY }, body);
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  expect(answer.body.success, JSON.stringify(answer.body)).toBe(true);
  return answer;
}

/** As an operator, not through a browser; it must succeed. What is answered is the data. */
export async function operate(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer["body"]> {
  const headers = { "X-Admin-Key": ADMIN_KEY, "X-Operator": "e2e" };
  const answer = await ask(method, `/api/v1/ops${path}`, headers, body);
  expect(answer.body.success, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBe(true);
  return answer.body.data;
}

/** A SKU that nobody else has. */
export function uniqueSku(): string {
  return `E2E-${randomBytes(6).toString("hex").toUpperCase()}`;
}

/** A shopper that nobody else is. */
export function uniqueUser(): string {
  return `${randomBytes(6).toString("hex")}@example.com`;
}

/** Sets up a sale and waits until shoppers are told of it. */
export async function createSale(wish: SaleWish = {}): Promise<TestSale> {
  const now = Date.now();
  const sku = wish.sku ?? uniqueSku();
  const sale: TestSale = {
    sku,
    name: wish.name ?? `Lamp ${sku}`,
    stock: wish.stock ?? 100,
    start: now + (wish.startsIn ?? -1_000),
    end: now + (wish.endsIn ?? 3_600_000),
  };
  await administer("POST", "", {
    sku,
    productName: sale.name,
    initialStock: sale.stock,
    startTime: new Date(sale.start).toISOString(),
    endTime: new Date(sale.end).toISOString(),
    ...(wish.challenge === undefined ? {} : { challenge: wish.challenge }),
  });
  await expect
    .poll(async () => (await saleStatus(sku)).body.data?.startTime)
    .toBe(new Date(sale.start).toISOString());
  return sale;
}

/** Changes a sale that has not started. */
export async function updateSale(
  sale: TestSale,
  change: { name?: string; startsIn?: number },
): Promise<TestSale> {
  const start = change.startsIn === undefined ? sale.start : Date.now() + change.startsIn;
  const changed = { ...sale, name: change.name ?? sale.name, start };
  await administer("PUT", `/${sale.sku}`, {
    productName: changed.name,
    startTime: new Date(start).toISOString(),
  });
  return changed;
}

export async function pauseSale(sale: TestSale): Promise<void> {
  await administer("POST", `/${sale.sku}/pause`);
}

export async function resumeSale(sale: TestSale): Promise<void> {
  await administer("POST", `/${sale.sku}/resume`);
}

export async function deleteSale(sku: string): Promise<void> {
  await administer("DELETE", `/${sku}`);
}

/** SKUs of all sales there are. */
export async function allSkus(): Promise<string[]> {
  const answer = await administer("GET", "?limit=200");
  const products: { sku: string }[] = answer.body.data;
  return products.map((product) => product.sku);
}

/** What shoppers are told. */
export function saleStatus(sku: string): Promise<Answer> {
  return ask("GET", `/api/v1/sales?sku=${sku}`);
}

/** Buys as somebody, not through a browser. */
export function attempt(sale: TestSale, user: string): Promise<Answer> {
  const headers = { "X-User-Id": headerValue(user), "Idempotency-Key": randomUUID() };
  return ask("POST", "/api/v1/purchases", headers, { sku: sale.sku });
}

/** As {@link attempt}, and it must succeed. */
export async function buy(sale: TestSale, user = uniqueUser()): Promise<Purchase> {
  const answer = await attempt(sale, user);
  expect(answer.body.success, JSON.stringify(answer.body)).toBe(true);
  return answer.body.data;
}

/** So many others buy one each, a few at a time. */
export async function othersBuy(sale: TestSale, count: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await buy(sale);
    }
  };
  await Promise.all([lane(), lane(), lane()]);
}

/** What `user` holds according to the server. */
export async function receiptOf(sale: TestSale, user: string): Promise<Purchase | undefined> {
  const answer = await ask("GET", `/api/v1/purchases?sku=${sale.sku}`, { "X-User-Id": headerValue(user) });
  return answer.status === 200 ? answer.body.data : undefined;
}

/** Units sold, counted by the server from the buyers. */
export async function unitsSold(sale: TestSale): Promise<number> {
  const answer = await administer("GET", `/${sale.sku}`);
  return answer.body.data.totalPurchases;
}

/** Waits until the user may try again: one attempt a second. */
export async function waitForUserLimit(since: number): Promise<void> {
  await expect.poll(() => Date.now() - since, { intervals: [50] }).toBeGreaterThan(1_050);
}

/** A header carries bytes, `fetch` takes them as Latin-1: so UTF-8 is spelled out. */
export function headerValue(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
