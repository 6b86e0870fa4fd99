import { Problem } from "../problem.ts";
import { count, oneLine } from "../text.ts";

/** What is about to be destroyed, and what the caller must repeat to show that it is meant. */
export interface Question {
  /** The trusted part first, for example `VM 101 (web-1) on pve1`. */
  readonly subject: string;
  /** The exact name, vmid, volid or node. */
  readonly expected: string;
  readonly given: string | undefined;
  /** What will be gone, one short phrase each. */
  readonly lost: readonly string[];
}

const maxLost = 20;

/**
 * Returns when `given` repeats `expected` exactly; otherwise throws confirmation_required with what will be lost.
 * The model itself can satisfy this: it guards against slips of the tongue, not against intent.
 */
export function confirmByArgument({ subject, expected, given, lost }: Question): void {
  // An empty word would be repeated by leaving it out, and that is a yes nobody said.
  if (expected.trim() === "") throw new Error("nothing to confirm by");
  if (given === expected) return;
  const wrong =
    given === undefined ? "" : ` The given confirm "${oneLine(given, 80)}" does not match.`;
  throw new Problem(
    "confirmation_required",
    `${oneLine(subject, 200)} was left as it is, because this cannot be undone.${wrong} Lost for good: ${losses(lost)}.`,
    {
      next: `If that is what the user wants, repeat the call with confirm: "${expected}".`,
      facts: { subject, confirm: expected, lost: lost.slice(0, maxLost) },
    },
  );
}

function losses(lost: readonly string[]): string {
  if (lost.length === 0) return "the object itself";
  const shown = lost.slice(0, maxLost).map((item) => oneLine(item, 160));
  const rest = lost.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${count(rest, "more thing")}`] : [])].join("; ");
}
