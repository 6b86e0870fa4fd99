import { Problem } from "../src/problem.ts";
import type { ToolContext } from "../src/tool.ts";
import type { ChangeResult } from "./outcome.ts";
import { results } from "./results.ts";

/** `guest` for one, `guests` for several with a result for each. */
export async function several<Result extends ChangeResult>(
  {
    guest,
    guests,
  }: { readonly guest?: string | undefined; readonly guests?: readonly string[] | undefined },
  context: ToolContext,
  run: (guest: string) => Promise<Result>,
): Promise<Result | { results: unknown[] }> {
  if ((guest === undefined) === (guests === undefined)) {
    throw new Problem("invalid_input", "Give either guest or guests.", {
      next: "guest is one name or vmid, guests a list of them.",
      facts: { argument: "guest" },
    });
  }
  if (guest !== undefined) return run(guest);
  const names = [...new Set(guests)];
  return { results: [...results(names, await context.each(names, run))] };
}
