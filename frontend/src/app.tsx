import { CataloguePage } from "./pages/shop/catalogue-page";
import { SalePage } from "./pages/shop/sale-page";

/** The page that an address asks for: `/` is all sales, `/?sku=S` is one. */
export function App({ search }: { search: string }) {
  const sku = new URLSearchParams(search).get("sku")?.trim() ?? "";
  return sku === "" ? <CataloguePage /> : <SalePage sku={sku} key={sku} />;
}
