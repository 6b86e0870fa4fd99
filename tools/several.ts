import { outcome } from "../src/each.ts";
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
  const names = await distinct(guests ?? [], context);
  return { results: [...results(names, await context.each(names, run))] };
}

/** Each guest once, under the first of its names; what is not found stays, to be told. */
export async function distinct(
  references: readonly string[],
  { proxmox, call }: ToolContext,
): Promise<readonly string[]> {
  const names = [...new Set(references)];
  const found = await Promise.all(
    names.map((name) => outcome(proxmox.lookup.guest(name, "any", call))),
  );
  const seen = new Set<string>();
  return names.filter((_, index) => {
    const one = found[index];
    if (!one?.ok) return true;
    const { type, vmid } = one.value.row;
    const key = `${type}/${vmid}`;
    const first = !seen.has(key);
    seen.add(key);
    return first;
  });
}
