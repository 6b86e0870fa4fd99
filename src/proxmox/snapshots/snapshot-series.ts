import { given, text, type Wire } from "../api/values.ts";
import { generatedBy } from "./snapshot-names.ts";

/** A snapshot, as far as `keep` looks at it. */
export interface Taken {
  readonly name: string;
  /** Proxmox's own word on when it was taken, as an ISO time. */
  readonly at?: string;
  /** `prepare` or `delete`, where taking or removing it came to no end. */
  readonly unfinished?: string;
}

/** What `keep` does with the snapshots of one prefix. */
export interface Series {
  /** What goes, the oldest first. */
  readonly surplus: readonly string[];
  /** What is only half there: it does not count, and is left to somebody who looks at it. */
  readonly unfinished: readonly Taken[];
}

/** From what the question for a guest's snapshots answers. */
export function readTaken(snapshots: readonly Wire[]): readonly Taken[] {
  return snapshots.map((wire) => ({
    name: text(wire["name"]) ?? "",
    ...given({ at: text(wire["at"]), unfinished: text(wire["unfinished"]) }),
  }));
}

/**
 * The oldest of a series beyond `keep`, the new one counted and never among them. Age is when Proxmox took them, not what their names
 * say: a clock may have been set back, or a name made by hand.
 */
export function seriesOf(
  all: readonly Taken[],
  { name, prefix, keep }: { readonly name: string; readonly prefix: string; readonly keep: number },
): Series {
  const byName = new Map(all.map((one) => [one.name, one]));
  const made = generatedBy(prefix, [...byName.keys()])
    .flatMap((one) => byName.get(one) ?? [])
    .filter((one) => one.name !== name);
  const finished = made.filter(({ unfinished }) => unfinished === undefined).sort(byAge);
  const surplus = finished.slice(0, Math.max(0, finished.length + 1 - keep));
  return {
    surplus: surplus.map((one) => one.name),
    unfinished: made.filter(({ unfinished }) => unfinished !== undefined),
  };
}

/** Whose age nobody knows counts as the newest. */
function byAge(a: Taken, b: Taken): number {
  const [one = "~", other = "~"] = [a.at, b.at];
  return one < other ? -1 : Number(one > other);
}

/** A sentence on what was left alone. */
export function unfinishedWords({ name, unfinished }: Taken, vmid: number): string {
  return `Snapshot ${name} is unfinished (${unfinished}): it does not count and was left alone. If nothing works on it any more, remove it with delete_snapshot {guest: "${vmid}", name: "${name}"}.`;
}
