/** The order of a table, and how the address tells it: `lag` upwards, `-lag` downwards. */

export interface Order {
  column: string;
  isDescending: boolean;
}

export type SortValue = number | string | null;

export function readOrder(text: string | null): Order | undefined {
  const column = (text ?? "").replace(/^-/, "");
  return column === "" ? undefined : { column, isDescending: text?.startsWith("-") === true };
}

export function writeOrder({ column, isDescending }: Order): string {
  return isDescending ? `-${column}` : column;
}

/** The rows by `sortBy`, equal ones as they were. What is not known comes last, whichever way. */
export function sortRows<Row>(rows: Row[], sortBy: (row: Row) => SortValue, isDescending: boolean): Row[] {
  return [...rows].sort((one, other) => {
    const [a, b] = [sortBy(one), sortBy(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : compareTexts(String(a), String(b));
    return isDescending ? -order : order;
  });
}

const collator = new Intl.Collator("en", { numeric: true });

function compareTexts(a: string, b: string): number {
  return collator.compare(a, b);
}
