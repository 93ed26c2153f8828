import { chromiumPath } from "./chromium.ts";
import { newStack, removeStack, type Stack, shareStack, startStack, stopStack } from "./stack.ts";

/** Starts the stack of the run; what it returns stops it. */
export default async function globalSetup(): Promise<() => Promise<void>> {
  chromiumPath();
  const stack = await newStack();
  try {
    await startStack(stack);
    await expectPage(stack);
  } catch (error) {
    await stopStack(stack);
    removeStack(stack);
    throw error;
  }
  shareStack(stack);
  return async () => {
    await stopStack(stack);
    removeStack(stack);
  };
}

async function expectPage(stack: Stack): Promise<void> {
  const page = await (await fetch(`${stack.url}/`)).text();
  if (!page.includes('<script type="module"')) {
    throw new Error("The page is not in this binary: run `make page`, then build the binary again.");
  }
}
