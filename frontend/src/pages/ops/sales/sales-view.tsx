import { useCallback } from "react";
import { readOverview } from "../../../api/ops-overview";
import { orderSale, PRODUCTS_MAX, readProducts } from "../../../api/ops-sales";
import type { SaleOverview } from "../../../api/ops-types";
import type { Product } from "../../../api/types";
import { StateBadge } from "../../../components/state-badge";
import { changeParams, hrefOf, useParams } from "../address";
import { count, rate } from "../format";
import { usePoll } from "../live/use-poll";
import { type Action, ActionSaid, useAction } from "../parts/action";
import { type Column, DataTable } from "../parts/data-table";
import { Figure, Moment } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { saleStanding } from "../parts/standing";
import { ViewHead } from "../parts/view-head";
import { ViewLink } from "../parts/view-link";
import { useWorkplace } from "../workplace";
import { CHALLENGES } from "./challenges";
import { CreateDialog } from "./create-dialog";
import { ReportView } from "./report-view";

const EVERY_MS = 3_000;

/** The sales, or the report of the one that the address names. */
export function SalesView() {
  const report = useParams().get("report") ?? "";
  return report === "" ? <SaleList /> : <ReportView key={report} sku={report} />;
}

/** A product, and what the overview knows of its sale. */
interface Row {
  product: Product;
  now: SaleOverview | undefined;
}

function SaleList() {
  const { ops } = useWorkplace();
  const isCreating = useParams().get("create") === "1";
  const askProducts = useCallback((signal: AbortSignal) => readProducts(ops, signal), [ops]);
  const askOverview = useCallback((signal: AbortSignal) => readOverview(ops, signal), [ops]);
  const products = usePoll(askProducts, EVERY_MS);
  const overview = usePoll(askOverview, EVERY_MS);
  const refresh = () => {
    products.refresh();
    overview.refresh();
  };
  const action = useAction(refresh);
  return (
    <>
      <ViewHead title="Sales">
        <button type="button" className="button" onClick={() => changeParams({ create: "1" })}>
          Create a sale…
        </button>
      </ViewHead>
      <ActionSaid action={action} />
      <Loaded polled={products} beside={[overview]} what="the sales">
        {(data) => (
          <>
            <DataTable
              caption="Sales"
              columns={columns(action, (sku, what) => orderSale(ops, sku, what))}
              rows={data.map((product) => ({ product, now: nowOf(overview.data?.sales, product) }))}
              keyOf={({ product }) => product.sku}
              sortParam="sort"
              empty="No sale yet. Create one with the button above."
              testId="sales-table"
            />
            {data.length === PRODUCTS_MAX && (
              <p className="hint">Only the first {PRODUCTS_MAX}, by SKU, are shown.</p>
            )}
          </>
        )}
      </Loaded>
      {isCreating && (
        <CreateDialog onDone={refresh} onClose={() => changeParams({ create: "" }, "replace")} />
      )}
    </>
  );
}

function nowOf(sales: SaleOverview[] | undefined, { saleId }: Product): SaleOverview | undefined {
  return sales?.find((sale) => sale.saleId === saleId);
}

type OrderSale = (sku: string, what: "pause" | "resume") => ReturnType<typeof orderSale>;

function columns(action: Action, order: OrderSale): Column<Row>[] {
  return [
    {
      id: "sku",
      title: "SKU",
      cell: ({ product: { sku } }) => <ViewLink href={hrefOf("sales", { report: sku })}>{sku}</ViewLink>,
      sortBy: ({ product }) => product.sku,
    },
    {
      id: "name",
      title: "Name",
      // With what is asked of its shoppers: a column of its own would push the actions out of a window of 1280 px.
      cell: ({ product: { productName, challenge } }) => (
        <>
          <span className="ops-prose">{productName}</span>
          {challenge !== "NONE" && <span className="hint">Challenge: {CHALLENGES[challenge]}</span>}
        </>
      ),
      sortBy: ({ product }) => product.productName,
    },
    {
      id: "state",
      title: "State",
      cell: (row) => <Standing row={row} />,
      sortBy: ({ product }) => product.state,
    },
    {
      id: "sold",
      title: "Sold",
      cell: ({ product, now }) => <Figure value={product.totalPurchases ?? now?.sold} as={count} />,
      sortBy: ({ product, now }) => product.totalPurchases ?? now?.sold ?? null,
      isNumeric: true,
    },
    {
      id: "stock",
      title: "Left",
      cell: ({ product }) => <Figure value={product.currentStock} as={count} />,
      sortBy: ({ product }) => product.currentStock,
      isNumeric: true,
    },
    {
      id: "initial",
      title: "Of",
      cell: ({ product }) => count(product.initialStock),
      sortBy: ({ product }) => product.initialStock,
      isNumeric: true,
    },
    {
      id: "rate",
      title: "Sold a second",
      cell: ({ now }) => <Figure value={now?.soldPerSecond} as={rate} />,
      sortBy: ({ now }) => now?.soldPerSecond ?? null,
      isNumeric: true,
    },
    {
      id: "start",
      title: "Starts",
      cell: ({ product }) => <Moment iso={product.startTime} />,
      sortBy: ({ product }) => product.startTime,
    },
    {
      id: "end",
      title: "Ends",
      cell: ({ product }) => <Moment iso={product.endTime} />,
      sortBy: ({ product }) => product.endTime,
    },
    {
      id: "actions",
      title: "Actions",
      cell: (row) => <PauseButton row={row} action={action} order={order} />,
    },
  ];
}

function Standing({ row: { product, now } }: { row: Row }) {
  const { state, paused } = product;
  if (state === null) return <span className="ops-unknown">unknown</span>;
  return (
    <StateBadge sale={saleStanding({ state, paused: paused === true, endReason: now?.endReason ?? null })} />
  );
}

/** One button for both, so that the focus stays on it. */
function PauseButton({ row: { product }, action, order }: { row: Row; action: Action; order: OrderSale }) {
  const { sku, state, paused } = product;
  if (state === "ENDED") return null;
  const what = paused === true ? "resume" : "pause";
  const text = paused === true ? "Resume" : "Pause";
  return (
    <button
      type="button"
      className="button button-small"
      aria-label={`${text} ${sku}`}
      aria-busy={action.busy === `${what} ${sku}`}
      onClick={() =>
        void action.run(
          `${what} ${sku}`,
          () => order(sku, what),
          () => (what === "pause" ? `${sku} is paused: nobody can buy.` : `${sku} goes on.`),
        )
      }
    >
      {text}
    </button>
  );
}
