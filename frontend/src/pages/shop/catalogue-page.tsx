import { useEffect, useState, useSyncExternalStore } from "react";
import type { Sale } from "../../api/types";
import { ShortCountdown } from "../../components/countdown";
import { Icon } from "../../components/icon";
import { momentToMinute } from "../../components/moment";
import { PageFrame } from "../../components/page-frame";
import { ProductPicture } from "../../components/product-picture";
import { StateBadge } from "../../components/state-badge";
import { StockMeter, units } from "../../components/stock-meter";
import { CatalogueFeed } from "./live/catalogue-feed";
import type { ServerClock } from "./live/server-clock";
import "./catalogue-page.css";

/** Every sale, each a link to its page. */
export function CataloguePage() {
  const [feed] = useState(() => new CatalogueFeed());
  const { sales, failed } = useSyncExternalStore(feed.subscribe, feed.getState);

  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);

  useEffect(() => {
    document.title = "Flashsale";
  }, []);

  return (
    <PageFrame>
      <div className="catalogue-head">
        <h1>Sales</h1>
        <p role="status" className="catalogue-status">
          {failed &&
            sales !== undefined &&
            "No answer from the shop. Showing what was last heard; trying again…"}
        </p>
      </div>
      {sales === undefined ? (
        failed ? (
          <NoAnswer onRetry={() => feed.refresh()} />
        ) : (
          <Skeletons />
        )
      ) : sales.length === 0 ? (
        <NoSales />
      ) : (
        <ul className="cards" data-testid="sales">
          {sales.map((sale) => (
            <li key={sale.sku}>
              <SaleCard sale={sale} clock={feed.clock} />
            </li>
          ))}
        </ul>
      )}
    </PageFrame>
  );
}

function SaleCard({ sale, clock }: { sale: Sale; clock: ServerClock }) {
  return (
    <a
      className="card"
      href={`/?sku=${encodeURIComponent(sale.sku)}`}
      data-over={sale.state === "ENDED" ? "" : undefined}
    >
      <div className="card-picture">
        <ProductPicture sku={sale.sku} />
      </div>
      <div className="card-body">
        <StateBadge sale={sale} />
        <h2>{sale.productName}</h2>
        <div className="card-facts">
          <CardFacts sale={sale} clock={clock} />
        </div>
      </div>
    </a>
  );
}

function CardFacts({ sale, clock }: { sale: Sale; clock: ServerClock }) {
  switch (sale.state) {
    case "ACTIVE":
      return (
        <>
          <StockMeter stock={sale.stock} initialStock={sale.initialStock} />
          <ShortCountdown label="Ends in" target={Date.parse(sale.endTime)} clock={clock} />
        </>
      );
    case "UPCOMING":
      return (
        <>
          <p className="hint">
            {units(sale.initialStock)} {sale.initialStock === 1 ? "unit" : "units"},{" "}
            {momentToMinute(sale.startTime)}
          </p>
          <ShortCountdown label="Starts in" target={Date.parse(sale.startTime)} clock={clock} />
        </>
      );
    case "ENDED":
      return (
        <p className="hint">
          {sale.endReason === "SOLD_OUT" ? "Every unit was sold." : `Closed ${momentToMinute(sale.endTime)}`}
        </p>
      );
  }
}

function Skeletons() {
  return (
    <ul className="cards" aria-busy="true" aria-label="Loading the sales">
      {["one", "two", "three"].map((name) => (
        <li key={name}>
          <div className="card">
            <div className="card-picture skeleton" />
            <div className="card-body">
              <span className="badge skeleton">Loading</span>
              <p className="skeleton skeleton-name" />
              <div className="card-facts">
                <p className="skeleton skeleton-line" />
              </div>
            </div>
          </div>
        </li>
      ))}
    </ul>
  );
}

function NoSales() {
  return (
    <div className="blank">
      <Icon name="empty" />
      <h2>No sale yet</h2>
      <p>As soon as there is one it appears here. Whoever runs the shop sets one up in a terminal:</p>
      <pre>
        <code>
          {'flashsale sale create DEMO --name "Demo phone" \\\n  --stock 100 --start +5m --end +1h'}
        </code>
      </pre>
    </div>
  );
}

function NoAnswer({ onRetry }: { onRetry: () => void }) {
  return (
    <div className="blank" role="alert">
      <Icon name="cloudOff" />
      <h2>The shop does not answer</h2>
      <p>
        This page asks again every few seconds. If your connection is fine, the shop will be back shortly.
      </p>
      <button type="button" className="button button-quiet" onClick={onRetry}>
        Ask now
      </button>
    </div>
  );
}
