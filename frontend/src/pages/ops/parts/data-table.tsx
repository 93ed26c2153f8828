import { Fragment, type ReactNode, useId, useState } from "react";
import { changeParams, useParams } from "../address";
import { type Order, readOrder, type SortValue, sortRows, writeOrder } from "./sorting";

export interface Column<Row> {
  id: string;
  title: ReactNode;
  cell: (row: Row) => ReactNode;
  /** What it is sorted by; without it nobody can. */
  sortBy?: (row: Row) => SortValue;
  isNumeric?: boolean;
  /** It holds a control, and is not what names the row. */
  isControl?: boolean;
}

interface Props<Row> {
  /** What the table shows; read out, not shown. */
  caption: string;
  /** The first one that is no control names the row. */
  columns: Column<Row>[];
  rows: Row[];
  keyOf: (row: Row) => string;
  /** What a row has to say when it is opened; then each has a button. */
  details?: (row: Row) => ReactNode;
  /** The parameter of the address that holds the order. */
  sortParam?: string;
  /** In the place of a table without rows. */
  empty: ReactNode;
  testId?: string;
}

/** A table that scrolls within itself, and can be sorted and opened up. */
export function DataTable<Row>({
  caption,
  columns,
  rows,
  keyOf,
  details,
  sortParam,
  empty,
  testId,
}: Props<Row>) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const params = useParams();
  const order = sortParam === undefined ? undefined : readOrder(params.get(sortParam));
  const sortBy = columns.find(({ id }) => id === order?.column)?.sortBy;
  const shown =
    order === undefined || sortBy === undefined ? rows : sortRows(rows, sortBy, order.isDescending);
  const toggle = (key: string) => {
    const next = new Set(open);
    if (!next.delete(key)) next.add(key);
    setOpen(next);
  };

  if (rows.length === 0) return <p className="ops-empty">{empty}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be within reach of the keyboard
    <section className="ops-scroll" aria-label={caption} tabIndex={0} data-testid={testId}>
      <table className="ops-table">
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {details !== undefined && (
              <th scope="col">
                <span className="visually-hidden">Details</span>
              </th>
            )}
            {columns.map((column) => (
              <HeaderCell key={column.id} column={column} order={order} sortParam={sortParam} />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <BodyRow
              key={keyOf(row)}
              row={row}
              name={keyOf(row)}
              columns={columns}
              details={details}
              isOpen={open.has(keyOf(row))}
              onToggle={() => toggle(keyOf(row))}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function HeaderCell<Row>({
  column,
  order,
  sortParam,
}: {
  column: Column<Row>;
  order: Order | undefined;
  sortParam: string | undefined;
}) {
  const { id, title, sortBy, isNumeric = false } = column;
  const look = isNumeric ? "ops-number" : undefined;
  if (sortBy === undefined || sortParam === undefined) {
    return (
      <th scope="col" className={look}>
        {title}
      </th>
    );
  }
  const isSorted = order?.column === id;
  const isDescending = order?.isDescending === true;
  const sort = () => {
    // Of figures the largest are looked for first.
    const next = { column: id, isDescending: isSorted ? !isDescending : isNumeric };
    changeParams({ [sortParam]: writeOrder(next) }, "replace");
  };
  return (
    <th
      scope="col"
      className={look}
      aria-sort={isSorted ? (isDescending ? "descending" : "ascending") : "none"}
    >
      <button type="button" className="ops-sort" onClick={sort}>
        {title}
        <span className="ops-sort-mark" aria-hidden="true">
          {isSorted ? (isDescending ? "↓" : "↑") : "↕"}
        </span>
      </button>
    </th>
  );
}

function BodyRow<Row>({
  row,
  name,
  columns,
  details,
  isOpen,
  onToggle,
}: {
  row: Row;
  name: string;
  columns: Column<Row>[];
  details: ((row: Row) => ReactNode) | undefined;
  isOpen: boolean;
  onToggle: () => void;
}) {
  const detailsId = useId();
  const naming = columns.find(({ isControl = false }) => !isControl);
  return (
    <Fragment>
      <tr data-row={name}>
        {details !== undefined && (
          <td>
            <button
              type="button"
              className="ops-toggle"
              aria-expanded={isOpen}
              aria-controls={isOpen ? detailsId : undefined}
              aria-label={`Details of ${name}`}
              onClick={onToggle}
            >
              <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span>
            </button>
          </td>
        )}
        {columns.map((column) =>
          column === naming ? (
            <th key={column.id} scope="row">
              {column.cell(row)}
            </th>
          ) : (
            <td key={column.id} className={column.isNumeric === true ? "ops-number" : undefined}>
              {column.cell(row)}
            </td>
          ),
        )}
      </tr>
      {details !== undefined && isOpen && (
        <tr className="ops-details" id={detailsId}>
          <td colSpan={columns.length + 1}>{details(row)}</td>
        </tr>
      )}
    </Fragment>
  );
}
