import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Newcomers } from "../cluster/newcomers.ts";
import type { VmidPool } from "../cluster/vmids.ts";
import type { Changed } from "../guests/changes.ts";

interface Member {
  readonly name: string;
  readonly vmid: number;
}

/** A series that was only planned: the plan of its first, and who all of them would be. */
export interface Series<Subject> {
  readonly first: Changed<Subject>;
  readonly guests: readonly Member[];
}

/**
 * Each has a vmid of its own, kept until all have one; what speaks against any of them stands beside what speaks against the first.
 * Throws where none of them can be made.
 */
export async function planSeries<Subject>(
  { names, vmid }: { readonly names: readonly string[]; readonly vmid?: number | undefined },
  { newcomers, vmids }: { readonly newcomers: Newcomers; readonly vmids: VmidPool },
  plan: (first: Member) => Promise<Changed<Subject>>,
  call: Call,
): Promise<Series<Subject>> {
  const guests: Member[] = [];
  const against: Problem[] = [];
  try {
    for (const [index, name] of names.entries()) {
      try {
        await newcomers.assertNew(name, call);
        guests.push({ name, vmid: await vmids.take(vmid && vmid + index, call) });
      } catch (error) {
        if (!isProblem(error)) throw error;
        against.push(error);
      }
    }
    const [head] = guests;
    if (!head) throw against[0] ?? new TypeError("a series has a first");
    const first = await plan(head);
    const all = { ...first.plan, against: [...first.plan.against, ...against] };
    return { first: { ...first, plan: all }, guests };
  } finally {
    for (const guest of guests) vmids.free(guest.vmid);
  }
}
