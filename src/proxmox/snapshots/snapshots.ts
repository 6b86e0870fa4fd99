import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { followedBy } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { type Changed, type Changes, conflict, lockedBy } from "../guests/changes.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";
import type { TaskReport } from "../tasks/task.ts";
import { assertName, assertPrefix, nameFor } from "./snapshot-names.ts";
import {
  readTaken,
  type Series,
  seriesOf,
  type Taken,
  unfinishedWords,
} from "./snapshot-series.ts";
import { removal, touchesOf } from "./snapshot-work.ts";

export interface SnapshotOptions {
  /** Given, or made of `prefix` and the time. */
  readonly name?: string | undefined;
  readonly prefix: string;
  /** How many of this prefix stay, the new one counted; the older ones go once the new one is there. */
  readonly keep?: number | undefined;
  /** Saves the RAM of a running VM too. */
  readonly memory: boolean;
  readonly description?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface SnapshotOutcome extends Changed<Identified> {
  readonly name: string;
  readonly memory: boolean;
  /** What `keep` would remove, for a plan. */
  readonly surplus: readonly string[];
  /** What `keep` leaves alone because it is only half there, a sentence each, for a plan. */
  readonly leaves: readonly string[];
  /** What `keep` has removed; complete when the task has settled. */
  readonly removed: readonly string[];
}

/** How long the removal of one old snapshot is waited for before it counts as not done. */
const removalMs = 3_600_000;

/** Taking snapshots, and letting the old ones of a series go. PVE: POST, DELETE …/snapshot[/{name}] */
export class Snapshots {
  readonly #verbs: Verbs;
  readonly #changes: Changes;

  constructor(verbs: Verbs, changes: Changes) {
    this.#verbs = verbs;
    this.#changes = changes;
  }

  /**
   * Throws `invalid_input` for a name or a prefix that PVE would refuse and for the memory of a container, `conflict` for a name that is taken
   * and for templates, `locked`, `busy` while another snapshot task of ours runs there.
   */
  async create(reference: string, call: Call, options: SnapshotOptions): Promise<SnapshotOutcome> {
    if (options.name === undefined) assertPrefix(options.prefix);
    const removed: string[] = [];
    let made: Made = { name: "", memory: false, surplus: [], leaves: [] };
    const plan = async (guest: Identified) => {
      const all = await this.#taken(guest, call);
      const names = all.map((one) => one.name);
      const name = options.name ?? nameFor(options.prefix, this.#verbs.clock.now(), names);
      assertName(name, guest.type);
      const memory = options.memory && this.#hasMemory(guest);
      const { keep, prefix } = options;
      const series = keep === undefined ? none : seriesOf(all, { name, prefix, keep });
      const leaves = series.unfinished.map((one) => unfinishedWords(one, guest.vmid));
      made = { name, memory, surplus: series.surplus, leaves };
      return this.#plan(guest, options, { name, memory, names, removed });
    };
    const change = { reference, kind: "any" as const, state: options.memory, plan };
    try {
      const changed = await this.#changes.run(change, call, { dryRun: options.dryRun });
      return { ...changed, ...made, removed };
    } catch (error) {
      const lost = isProblem(error, "outcome_unknown") && options.keep !== undefined;
      throw lost ? nothingRemoved(error, made.name) : error;
    }
  }

  #hasMemory(guest: Identified): boolean {
    if (guest.type === "qemu") return guest.status?.status === "running";
    const who = `${guestWords(guest, guest.name)} on ${guest.node}`;
    throw new Problem("invalid_input", `Only VMs have a memory to save; ${who} is a container.`, {
      next: "Leave memory out.",
      facts: { argument: "memory", vmid: guest.vmid, type: guest.type, node: guest.node },
    });
  }

  #plan(
    guest: Identified,
    options: SnapshotOptions,
    made: {
      readonly name: string;
      readonly memory: boolean;
      readonly names: readonly string[];
      readonly removed: string[];
    },
  ): Plan {
    const { name, memory, names, removed } = made;
    const touches = touchesOf(guest);
    const { keep, prefix } = options;
    return {
      says: `takes snapshot ${name} of ${guestWords(guest, guest.name)} on ${guest.node}`,
      against: [
        ...(guest.config.template ? [ofTemplate(guest)] : []),
        ...lockedBy(guest),
        ...(names.includes(name) ? [taken(guest, name)] : []),
      ],
      touches,
      request: {
        method: "POST",
        path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/snapshot`,
        params: {
          snapname: name,
          description: options.description,
          vmstate: memory || undefined,
        },
      },
      ...(keep !== undefined && {
        follow: {
          followUp: (report: TaskReport, call: Call) =>
            this.#prune(report, { guest, name, keep, prefix, removed }, call),
        },
      }),
    };
  }

  async #taken(guest: Identified, call: Call): Promise<readonly Taken[]> {
    return readTaken(await this.#verbs.live(call, snapshotsQuestion(guest)));
  }

  /** The new one is there: now the oldest of its series go, one after the other. None of it makes the snapshot fail. */
  async #prune(
    report: TaskReport,
    { guest, name, keep, prefix, removed }: Pruning,
    call: Call,
  ): Promise<TaskReport> {
    const remarks: string[] = [];
    try {
      const all = await this.#taken(guest, call);
      const there = all.some((one) => one.name === name && one.unfinished === undefined);
      const { surplus, unfinished } = there ? seriesOf(all, { name, prefix, keep }) : none;
      remarks.push(...unfinished.map((one) => unfinishedWords(one, guest.vmid)));
      for (const old of surplus) await this.#remove(guest, old, { removed, remarks }, call);
    } catch (error) {
      if (!isProblem(error)) throw error;
      remarks.push(`The older snapshots could not be looked at: ${error.message}`);
    }
    return remarks.length === 0 ? report : { ...report, remarks };
  }

  async #remove(
    guest: Identified,
    name: string,
    into: { readonly removed: string[]; readonly remarks: string[] },
    call: Call,
  ): Promise<void> {
    const touches = touchesOf(guest);
    try {
      const task = await this.#changes.send(removal(guest, name), { touches }, call);
      const { state, exitstatus } = await task.settle({ timeoutMs: removalMs });
      if (state === "ok" || state === "warnings") into.removed.push(name);
      else into.remarks.push(`Snapshot ${name} could not be removed: ${exitstatus ?? state}`);
    } catch (error) {
      if (!isProblem(error)) throw error;
      into.remarks.push(`Snapshot ${name} could not be removed: ${error.message}`);
    }
  }
}

type Made = Pick<SnapshotOutcome, "name" | "memory" | "surplus" | "leaves">;

interface Pruning {
  readonly guest: Identified;
  readonly name: string;
  readonly keep: number;
  readonly prefix: string;
  readonly removed: string[];
}

/** What follows the end of a task cannot follow one that nobody knows. */
function nothingRemoved({ message, next, facts, cause }: Problem, name: string): Problem {
  return new Problem("outcome_unknown", followedBy(message, "Nothing was removed for keep."), {
    next: `${next} With include: ["snapshots"] it shows whether ${name} is there; the next call with keep removes what is too many.`,
    facts: { ...facts, snapshot: name, removed: [] },
    cause,
  });
}

const none: Series = { surplus: [], unfinished: [] };

/** PVE: AbstractConfig.pm, snapshot_create: refused in the task only. */
function ofTemplate(guest: Identified): Problem {
  const tool = guest.type === "qemu" ? "clone_vm" : "clone_container";
  return conflict(guest, "is a template, which has no snapshots", `Clone it with ${tool}.`);
}

function taken(guest: Identified, name: string): Problem {
  return conflict(guest, `has a snapshot ${name} already`, "Choose another name, or leave it out.");
}
