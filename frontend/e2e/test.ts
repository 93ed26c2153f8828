import { type BrowserContextOptions, test as base } from "@playwright/test";
import { FaultProxy } from "./faultProxy.ts";
import { OpsConsole } from "./ops.ts";
import { PageWatch } from "./pageWatch.ts";
import { Shop } from "./shop.ts";
import { sharedStack, stackOutput } from "./stack.ts";

export { expect } from "@playwright/test";

interface Fixtures {
  /** Watches every page of the test. */
  watch: PageWatch;
  /** The page of the test, at the stack. */
  shop: Shop;
  /** The operators' console, in the page of the test. */
  ops: OpsConsole;
  /** A bad network in front of the stack. */
  network: FaultProxy;
  /** The page of the test, behind the proxy. */
  proxiedShop: Shop;
  /** Another shopper: a browser with a storage of its own. */
  newShop: (options?: BrowserContextOptions) => Promise<Shop>;
}

export const test = base.extend<Fixtures>({
  watch: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use, testInfo) => {
      const watch = new PageWatch();
      await use(watch);
      await watch.finish(testInfo, stackOutput(sharedStack()));
    },
    { auto: true },
  ],
  context: async ({ context, watch }, use) => {
    await watch.attach(context);
    await use(context);
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  network: async ({}, use) => {
    const proxy = await FaultProxy.start(sharedStack().url);
    await use(proxy);
    await proxy.close();
  },
  shop: async ({ page }, use) => {
    await use(new Shop(page, sharedStack().url));
  },
  ops: async ({ page }, use) => {
    await use(new OpsConsole(page, sharedStack().url));
  },
  proxiedShop: async ({ page, network }, use) => {
    await use(new Shop(page, network.url));
  },
  newShop: async ({ browser, watch }, use) => {
    const close: (() => Promise<void>)[] = [];
    await use(async (options) => {
      const context = await browser.newContext(options);
      close.push(() => context.close());
      await watch.attach(context);
      return new Shop(await context.newPage(), sharedStack().url);
    });
    await Promise.all(close.map((one) => one()));
  },
});
