/** What the page uses of the OpenAPI document, by the names it uses. `schema.ts` is generated: `npm run types`. */

import type { components } from "./schema";

type Schemas = components["schemas"];

/** What a sale asks of a browser before it sells to it. */
export type ChallengeKind = Schemas["ChallengeKind"];
/** `challenge` is left out where there is none. */
export type Sale = Schemas["Sale"];
export type SaleState = Sale["state"];
export type EndReason = NonNullable<Sale["endReason"]>;
export type Catalogue = Schemas["Catalogue"];
export type PurchaseAttempt = Schemas["PurchaseAttempt"];
export type Product = Schemas["Product"];
export type NewProduct = Schemas["NewProduct"];
export type PurchaseError = Schemas["PurchaseError"];

/** What a shopper holds. */
export type Receipt = Pick<Schemas["Purchase"], "purchaseNo" | "purchasedAt">;
