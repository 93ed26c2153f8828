import { useEffect, useState, useSyncExternalStore } from "react";
import type { Sale } from "../../api/types";
import { ConnectionNotice } from "../../components/connection-notice";
import { Countdown } from "../../components/countdown";
import { Icon } from "../../components/icon";
import { momentToMinute } from "../../components/moment";
import { PageFrame } from "../../components/page-frame";
import { ProductPicture } from "../../components/product-picture";
import { StateBadge, standingOf } from "../../components/state-badge";
import { StockMeter, units } from "../../components/stock-meter";
import { Checkout } from "./buying/checkout";
import { SaleFeed } from "./live/sale-feed";
import type { ServerClock } from "./live/server-clock";
import { PurchasePanel } from "./purchase-panel";
import "./sale-page.css";
import "./buying.css";

/** One sale: what it is, how it stands, and where to buy. */
export function SalePage({ sku }: { sku: string }) {
  const [feed] = useState(() => new SaleFeed(sku));
  const [checkout] = useState(() => new Checkout(sku, feed.clock));
  const { sale, missing, connection } = useSyncExternalStore(feed.subscribe, feed.getState);

  useEffect(() => {
    feed.start();
    checkout.start();
    return () => {
      feed.stop();
      checkout.stop();
    };
  }, [feed, checkout]);

  useEffect(() => {
    if (sale !== undefined) checkout.takeSale(sale);
  }, [checkout, sale]);

  useEffect(() => {
    if (sale !== undefined) document.title = `${standingOf(sale)}: ${sale.productName} – Flashsale`;
    else document.title = missing ? "No such sale – Flashsale" : "Flashsale";
  }, [sale, missing]);

  return (
    <PageFrame back={{ href: "/", text: "All sales" }}>
      <ConnectionNotice connection={connection} />
      {missing ? (
        <MissingSale sku={sku} />
      ) : (
        <article className="sale" aria-busy={sale === undefined}>
          <div className="sale-picture" data-over={sale?.state === "ENDED" ? "" : undefined}>
            <ProductPicture sku={sku} />
          </div>
          <div className="sale-body">
            {sale === undefined ? <SaleSkeleton /> : <SaleFacts sale={sale} clock={feed.clock} />}
            <PurchasePanel sale={sale} checkout={checkout} />
          </div>
        </article>
      )}
    </PageFrame>
  );
}

function SaleFacts({ sale, clock }: { sale: Sale; clock: ServerClock }) {
  return (
    <div className="facts">
      <StateBadge sale={sale} />
      <h1>{sale.productName}</h1>
      <div className="facts-time">
        <Time sale={sale} clock={clock} />
      </div>
      <div className="facts-stock">
        {sale.state === "UPCOMING" ? (
          <p className="stock-figure">
            <b>{units(sale.initialStock)}</b> {sale.initialStock === 1 ? "unit" : "units"} in all
          </p>
        ) : (
          <StockMeter stock={sale.stock} initialStock={sale.initialStock} />
        )}
      </div>
    </div>
  );
}

function Time({ sale, clock }: { sale: Sale; clock: ServerClock }) {
  const opens = <time dateTime={sale.startTime}>{momentToMinute(sale.startTime)}</time>;
  const closes = <time dateTime={sale.endTime}>{momentToMinute(sale.endTime)}</time>;
  switch (sale.state) {
    case "UPCOMING":
      return (
        <>
          <Countdown label="Starts in" target={Date.parse(sale.startTime)} clock={clock} />
          <p className="hint">Opens {opens}</p>
        </>
      );
    case "ACTIVE":
      return (
        <>
          <Countdown label="Ends in" target={Date.parse(sale.endTime)} clock={clock} />
          <p className="hint">
            {sale.paused === true ? "Paused by the shop; the time goes on." : <>Open until {closes}</>}
          </p>
        </>
      );
    case "ENDED":
      return sale.endReason === "SOLD_OUT" ? (
        <p className="facts-over">
          Every unit was sold. <span className="hint">Opened {opens}</span>
        </p>
      ) : (
        <p className="facts-over">
          The time is up. <span className="hint">Closed {closes}</span>
        </p>
      );
  }
}

/** As large as what it stands for, so that nothing jumps when that comes. */
function SaleSkeleton() {
  return (
    <div className="facts">
      <span className="badge skeleton">Loading</span>
      <p className="skeleton skeleton-title" />
      <div className="facts-time">
        <p className="skeleton skeleton-countdown" />
        <p className="skeleton skeleton-line" />
      </div>
      <div className="facts-stock">
        <p className="skeleton skeleton-stock" />
      </div>
    </div>
  );
}

function MissingSale({ sku }: { sku: string }) {
  return (
    <div className="blank">
      <Icon name="empty" />
      <h1>No such sale</h1>
      <p>
        The shop has no sale of <code>{sku}</code>. The link may be old or mistyped. Should the sale come to
        be, this page will show it.
      </p>
      <a className="button button-quiet" href="/">
        See all sales
      </a>
    </div>
  );
}
