import type { SaleOverview } from "../../../api/ops-types";
import { StateBadge } from "../../../components/state-badge";
import { hrefOf } from "../address";
import { count, rate } from "../format";
import { type Column, DataTable } from "../parts/data-table";
import { Figure, Moment } from "../parts/figures";
import { saleStanding } from "../parts/standing";
import { ViewLink } from "../parts/view-link";

const COLUMNS: Column<SaleOverview>[] = [
  {
    id: "sku",
    title: "SKU",
    cell: ({ sku }) => <ViewLink href={hrefOf("sales", { report: sku })}>{sku}</ViewLink>,
    sortBy: ({ sku }) => sku,
  },
  {
    id: "name",
    title: "Name",
    cell: ({ productName }) => <span className="ops-prose">{productName}</span>,
    sortBy: (sale) => sale.productName,
  },
  {
    id: "state",
    title: "State",
    cell: (sale) => <StateBadge sale={saleStanding(sale)} />,
    sortBy: (sale) => sale.state,
  },
  { id: "sold", title: "Sold", cell: ({ sold }) => count(sold), sortBy: ({ sold }) => sold, isNumeric: true },
  {
    id: "stock",
    title: "Left",
    cell: ({ stock }) => count(stock),
    sortBy: ({ stock }) => stock,
    isNumeric: true,
  },
  {
    id: "rate",
    title: "Sold a second",
    cell: ({ soldPerSecond }) => rate(soldPerSecond),
    sortBy: ({ soldPerSecond }) => soldPerSecond,
    isNumeric: true,
  },
  {
    id: "outbox",
    title: "Outbox",
    cell: ({ outbox }) => <Figure value={outbox} as={count} />,
    sortBy: ({ outbox }) => outbox,
    isNumeric: true,
  },
  {
    id: "end",
    title: "Ends",
    cell: ({ endTime }) => <Moment iso={endTime} />,
    sortBy: ({ endTime }) => endTime,
  },
];

export function SalesNow({ sales }: { sales: SaleOverview[] }) {
  return (
    <section className="ops-section">
      <h2>Sales</h2>
      <DataTable
        caption="Sales as they are now"
        columns={COLUMNS}
        rows={sales}
        keyOf={({ sku }) => sku}
        sortParam="sort"
        empty={
          <>
            No sale yet. <ViewLink href={hrefOf("sales", { create: "1" })}>Create one</ViewLink>
          </>
        }
        testId="sales-now"
      />
    </section>
  );
}
