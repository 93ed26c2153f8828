const grouped = new Intl.NumberFormat(undefined, { useGrouping: "min2" });

/** A count of units as a person writes it: with separators from five digits on. */
export function units(count: number): string {
  return grouped.format(count);
}

/** FE-2: how many are left, as a number and as a bar; not announced, it would never be silent. */
export function StockMeter({ stock, initialStock }: { stock: number; initialStock: number }) {
  const share = initialStock > 0 ? Math.min(1, stock / initialStock) : 0;
  return (
    <div className="stock" data-low={stock > 0 && share <= 0.1 ? "" : undefined}>
      <p className="stock-figure" data-testid="stock">
        <b>{units(stock)}</b> of {units(initialStock)} left
      </p>
      <div
        className="stock-bar"
        role="progressbar"
        aria-label="Units left"
        aria-valuemin={0}
        aria-valuemax={initialStock}
        aria-valuenow={stock}
        aria-valuetext={`${stock} of ${initialStock}`}
      >
        <span className="stock-bar-fill" style={{ transform: `scaleX(${share})` }} />
      </div>
    </div>
  );
}
