import { useEffect, useRef, useState } from "react";
import { type OpsAccess, OpsClient } from "../../api/ops-client";
import { Icon } from "../../components/icon";
import { ActsView } from "./acts/acts-view";
import { hrefOf, placeOf, useParams, VIEWS, type View, viewOf } from "./address";
import { ConsumersView } from "./consumers/consumers-view";
import { DeadLettersView } from "./dead-letters/dead-letters-view";
import { LagHistory } from "./live/lag-history";
import { OverviewView } from "./overview/overview-view";
import { ViewLink } from "./parts/view-link";
import { ReconciliationsView } from "./reconciliations/reconciliations-view";
import { SalesView } from "./sales/sales-view";
import { TopicsView } from "./topics/topics-view";
import { type Workplace, WorkplaceContext } from "./workplace";

interface Props {
  access: OpsAccess;
  onRefused: () => void;
  onForget: () => void;
}

const CONTENT: Record<View, () => React.ReactNode> = {
  overview: OverviewView,
  consumers: ConsumersView,
  topics: TopicsView,
  "dead-letters": DeadLettersView,
  sales: SalesView,
  reconciliations: ReconciliationsView,
  acts: ActsView,
};

/** The views, and the way from one to the other. */
export function Console({ access, onRefused, onForget }: Props) {
  const [workplace] = useState<Workplace>(() => ({
    ops: new OpsClient(access, onRefused),
    lag: new LagHistory(),
  }));
  const params = useParams();
  const view = viewOf(params);
  const place = placeOf(params);
  const main = useRef<HTMLElement>(null);
  const nav = useRef<HTMLElement>(null);
  const shown = useRef(place);
  const Content = CONTENT[view];

  useEffect(() => {
    if (shown.current === place) return;
    shown.current = place;
    // Whoever cannot see the page learns that it is another.
    main.current?.querySelector("h1")?.focus();
  }, [place]);

  // On a small screen the links are wider than it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another view has another link
  useEffect(() => {
    const link = nav.current?.querySelector("[aria-current]");
    link?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [view]);

  return (
    <WorkplaceContext value={workplace}>
      <header className="ops-header">
        <a className="brand" href="/">
          <Icon name="bolt" />
          Flashsale
        </a>
        <nav className="ops-nav" aria-label="Views" ref={nav}>
          {Object.entries(VIEWS).map(([name, title]) => (
            <ViewLink key={name} href={hrefOf(name as View)} isCurrent={name === view}>
              {title}
            </ViewLink>
          ))}
        </nav>
        <p className="ops-who">
          <span className="hint">{access.operator}</span>
          <button type="button" className="text-button" onClick={onForget}>
            Forget the key
          </button>
        </p>
      </header>
      <main className="ops-main" ref={main}>
        <Content key={view} />
      </main>
      <footer className="ops-footer">All times are UTC.</footer>
    </WorkplaceContext>
  );
}
