/** Who buys. The same rules as the service's, so that nothing it would refuse is sent (FE-5). */

const CHARS_MAX = 255;
const CONTROL = /\p{Cc}/u;

export type Identifier = { valid: true; user: string } | { valid: false; why: string };

export function checkIdentifier(text: string): Identifier {
  const user = text.trim();
  if (user === "") return { valid: false, why: "Enter your identifier first." };
  // Spread counts characters as the service does, and not halves of them.
  if ([...user].length > CHARS_MAX) return { valid: false, why: `Use at most ${CHARS_MAX} characters.` };
  if (CONTROL.test(user)) return { valid: false, why: "Remove the invisible control characters." };
  return { valid: true, user };
}
