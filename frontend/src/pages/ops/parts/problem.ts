/** What went wrong, in words. */

import { isRecord } from "../../../api/client";
import type { Problem } from "../../../api/ops-client";

export function problemText(problem: Problem): string {
  if (problem.kind === "silence") return "The service gave no answer that this page can use.";
  const { code, message } = problem.error;
  // The message names the role that is needed. A key that may not do one thing is still good for others.
  if (isForbidden(problem)) return `${message} Only this was refused: you are still signed in.`;
  const faults = Object.entries(faultsOf(problem)).map(([field, fault]) => `${field} ${fault}`);
  const details = faults.length === 0 ? "" : ` ${faults.join("; ")}.`;
  return `${message}${details} (${code})`;
}

/** Whether it is not for whoever asked, although the key is good. */
export function isForbidden(problem: Problem): boolean {
  return problem.kind === "refusal" && problem.status === 403;
}

/** As {@link problemText}, of something that was to be done: without an answer it may have been done all the same. */
export function actProblemText(problem: Problem): string {
  if (problem.kind === "refusal") return problemText(problem);
  return "No answer came, so it may have been done or not. Look before you do it again: the acts tell.";
}

/** What is wrong with each field of a request, as the service tells it. */
export function faultsOf(problem: Problem): Record<string, string> {
  if (problem.kind !== "refusal" || !isRecord(problem.error.fields)) return {};
  const faults = Object.entries(problem.error.fields);
  return Object.fromEntries(faults.map(([field, fault]) => [field, String(fault)]));
}
