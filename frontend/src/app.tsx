import { lazy, Suspense } from "react";
import { Icon } from "./components/icon";
import { CataloguePage } from "./pages/shop/catalogue-page";
import { SalePage } from "./pages/shop/sale-page";

// Shoppers do not load it.
const OpsPage = lazy(() =>
  import("./pages/ops/ops-page").then(
    ({ OpsPage }) => ({ default: OpsPage }),
    () => ({ default: NoConsole }),
  ),
);

/** The page that an address asks for: `/` is all sales, `/?sku=S` is one, `/ops` is the operators' console. */
export function App({ path, search }: { path: string; search: string }) {
  if (/^\/ops(?:\/|$)/.test(path)) {
    return (
      <Suspense fallback={<p className="blank">Loading the console…</p>}>
        <OpsPage />
      </Suspense>
    );
  }
  const sku = new URLSearchParams(search).get("sku")?.trim() ?? "";
  return sku === "" ? <CataloguePage /> : <SalePage sku={sku} key={sku} />;
}

/** Its files could not be had: the service is away, or a newer one has others. */
function NoConsole() {
  return (
    <main className="blank" role="alert">
      <Icon name="cloudOff" />
      <h1>The console could not be loaded</h1>
      <p>Load the page again in a moment.</p>
    </main>
  );
}
