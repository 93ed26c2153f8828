import type { Captcha } from "../../../api/challenges";

declare global {
  interface Window {
    /**
     * Shows the CAPTCHA of `verifier` and resolves to its token. This page has none, as it loads nothing from
     * elsewhere: whoever serves the page sets this before the first click.
     */
    flashsaleCaptcha?: (siteKey: string, verifier: string) => Promise<string>;
  }
}

/** What the service takes in a header. */
const TOKEN = /^[\x21-\x7e]{1,2048}$/;

export function hasCaptcha(): boolean {
  return typeof window.flashsaleCaptcha === "function";
}

/** The token; none when the CAPTCHA was closed or failed. Never rejects. */
export async function askCaptcha({ siteKey, verifier }: Captcha): Promise<string | undefined> {
  try {
    const token: unknown = await window.flashsaleCaptcha?.(siteKey, verifier);
    return typeof token === "string" && TOKEN.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}
