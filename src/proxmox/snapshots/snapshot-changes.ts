import { outcome } from "../../each.ts";
import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import { ago } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { given, guestWords, text, type Wire } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { type Changed, type Changes, conflict, lockedBy } from "../guests/changes.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import { statusQuestion } from "../guests/guest-status.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded, type TaskReport } from "../tasks/task.ts";
import { removal, touchesOf } from "./snapshot-work.ts";

/** A snapshot of a guest, as far as a change of it is concerned. */
export interface Snapshot {
  readonly name: string;
  /** ISO time. */
  readonly at?: string;
  readonly parent?: string;
  readonly memory: boolean;
  /** `prepare` or `delete`, where taking or removing it came to no end. */
  readonly unfinished?: string;
}

export interface SnapshotChangeOptions {
  readonly dryRun?: boolean | undefined;
  /** Starts the guest when it is back. */
  readonly start?: boolean | undefined;
  /** Asked with what will be lost, before anything is sent; throws to refuse. */
  readonly confirm: (guest: Identified, lost: readonly string[]) => Promise<void> | void;
}

export interface SnapshotChange extends Changed<Identified> {
  /** The state that is left behind. */
  readonly after: string;
  /** The name that the guest has then, where it had another; known when the task has ended. */
  readonly named: { readonly name?: string };
}

interface Known {
  readonly snapshot: Snapshot;
  /** Of the whole guest, the oldest first. */
  readonly all: readonly Snapshot[];
}

/** Storages whose volumes go back to their newest snapshot only. PVE: pve-storage src/PVE/Storage/ZFSPoolPlugin.pm */
const newestOnly = ["zfspool", "zfs"];

/** Going back to snapshots and removing them. PVE: POST …/snapshot/{name}/rollback, DELETE …/snapshot/{name} */
export class SnapshotChanges {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;

  constructor(verbs: Verbs, lookup: Lookup, changes: Changes) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#changes = changes;
  }

  /**
   * Puts disks and configuration back to what they were. Throws `not_found` with the names that there are, `conflict` where newer
   * snapshots stand in the way (ZFS) or this one is unfinished, `locked`, `busy`.
   */
  async rollback(
    reference: string,
    name: string,
    call: Call,
    options: SnapshotChangeOptions,
  ): Promise<SnapshotChange> {
    let after = "stopped";
    const named: { name?: string } = {};
    const plan = async (guest: Identified, known: Known): Promise<Plan> => {
      const { snapshot } = known;
      if (snapshot.memory || options.start) after = "running";
      const blocked = [...unfinished(guest, snapshot), ...(await this.#newer(guest, known, call))];
      return {
        says: `puts ${words(guest)} back to snapshot ${name}`,
        against: [...lockedBy(guest), ...blocked],
        touches: touchesOf(guest),
        request: {
          method: "POST",
          path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/snapshot/${name}/rollback`,
          params: { start: options.start },
        },
        follow: {
          onEnd: (report) => {
            if (succeeded(report)) this.#lookup.overlay.set(guest, { status: after });
            return [];
          },
          followUp: (report, call) => this.#look(report, guest, { after, named }, call),
        },
      };
    };
    const losses = (guest: Identified, known: Known) => this.#sinceThen(guest, known, options);
    const changed = await this.#run({ reference, name, plan, losses }, call, options);
    return { ...changed, after, named };
  }

  /** Removes one; its children move to its parent. Throws `not_found` with the names that there are, `locked`, `busy`. */
  async delete(
    reference: string,
    name: string,
    call: Call,
    options: SnapshotChangeOptions,
  ): Promise<SnapshotChange> {
    const plan = (guest: Identified): Plan => ({
      says: `removes snapshot ${name} of ${words(guest)}`,
      against: lockedBy(guest),
      touches: touchesOf(guest),
      request: removal(guest, name),
    });
    const losses = (_: Identified, { snapshot, all }: Known) => [
      `the way back to ${name}${since(snapshot, this.#verbs.clock.now())}`,
      ...(snapshot.memory ? ["the memory saved with it"] : []),
      ...orphans(snapshot, all),
    ];
    const changed = await this.#run({ reference, name, plan, losses }, call, options);
    const after = changed.guest.status?.status ?? changed.guest.row.status;
    return { ...changed, after, named: {} };
  }

  /** The name is that of then, and PVE does not tell of a start that failed. */
  async #look(
    report: TaskReport,
    guest: Identified,
    { after, named }: { readonly after: string; readonly named: { name?: string } },
    call: Call,
  ): Promise<TaskReport> {
    const { names, overlay } = this.#lookup;
    const config = await outcome(this.#verbs.live(call, configQuestion(guest)));
    const name = config.ok ? config.value.name : undefined;
    if (name !== undefined) {
      names.learn(guest, name);
      names.tell(guest, name);
      named.name = name;
    }
    if (after !== "running") return report;
    const now = await outcome(this.#verbs.live(call, statusQuestion(guest)));
    if (!now.ok || now.value.status !== "stopped") return report;
    overlay.set(guest, { status: "stopped" });
    const remarks = [...(report.remarks ?? []), "It could not be started: start_guest says why."];
    return { ...report, remarks, unstarted: true };
  }

  async #run(
    change: {
      readonly reference: string;
      readonly name: string;
      readonly plan: (guest: Identified, known: Known) => Promise<Plan> | Plan;
      readonly losses: (guest: Identified, known: Known) => readonly string[];
    },
    call: Call,
    { dryRun, confirm }: SnapshotChangeOptions,
  ): Promise<Changed<Identified>> {
    const { reference, name, losses } = change;
    let known: Known | undefined;
    const plan = async (guest: Identified) => {
      known = await this.#known(guest, name, call);
      return change.plan(guest, known);
    };
    return this.#changes.run({ reference, kind: "any", state: true, plan }, call, {
      dryRun,
      confirm: (guest) => confirm(guest, known ? losses(guest, known) : []),
    });
  }

  async #known(guest: Identified, name: string, call: Call): Promise<Known> {
    const wires = await this.#verbs.live(call, snapshotsQuestion(guest));
    const all = wires.map(readSnapshot);
    const snapshot = all.find((one) => one.name === name);
    if (!snapshot) throw notThere(guest, name, all);
    return { snapshot, all };
  }

  /** Newer snapshots, where a disk lies on a storage that only goes back to its newest. */
  async #newer(guest: Identified, known: Known, call: Call): Promise<readonly Problem[]> {
    const newer = newerThan(known);
    if (newer.length === 0) return [];
    const { storages } = await this.#lookup.inventory(call);
    const disk = guest.config.disks.find(({ storage, cdrom }) => {
      const row = storages.find((one) => one.storage === storage && one.node === guest.node);
      return cdrom !== true && newestOnly.includes(row?.type ?? "");
    });
    if (!disk) return [];
    const names = newer.toReversed().map((one) => one.name);
    return [
      conflict(
        guest,
        `has newer snapshots (${names.slice(0, 10).join(", ")}), and ${disk.key} on ${disk.storage} (ZFS) goes back to the newest only`,
        `Remove them first, from the newest on: delete_snapshot {guest: "${guest.vmid}", name: "${names[0]}"}.`,
      ),
    ];
  }

  #sinceThen(guest: Identified, known: Known, { start }: SnapshotChangeOptions): readonly string[] {
    const { snapshot } = known;
    const newer = newerThan(known).map(({ name }) => name);
    const disks = guest.config.disks.filter(({ cdrom, key }) => !cdrom && !/^unused/.test(key));
    const running = guest.status !== undefined && guest.status.status !== "stopped";
    const then = snapshot.memory
      ? "goes on from the saved memory"
      : start
        ? "is started again"
        : "stays off";
    return [
      `everything written to ${disks.map(({ key }) => key).join(", ") || "its disks"} since ${snapshot.name}${since(snapshot, this.#verbs.clock.now())}`,
      "changes of its configuration since then",
      ...(running ? [`it is ${guest.status?.status}: it is stopped hard, and ${then}`] : []),
      ...(newer.length > 0 ? [`(newer snapshots stay: ${newer.slice(0, 5).join(", ")})`] : []),
    ];
  }
}

function readSnapshot(wire: Wire): Snapshot {
  return {
    name: text(wire["name"]) ?? "",
    memory: wire["memory"] === true,
    ...given({
      at: text(wire["at"]),
      parent: text(wire["parent"]),
      unfinished: text(wire["unfinished"]),
    }),
  };
}

function newerThan({ snapshot, all }: Known): readonly Snapshot[] {
  return all.slice(all.indexOf(snapshot) + 1);
}

function orphans({ name, parent }: Snapshot, all: readonly Snapshot[]): readonly string[] {
  const children = all.filter((one) => one.parent === name).map((one) => one.name);
  if (children.length === 0) return [];
  const to = parent === undefined ? "become the first" : `move to ${parent}`;
  return [`(what was taken after it stays: ${children.join(", ")} ${to})`];
}

/** PVE: AbstractConfig.pm, snapshot_rollback: refused in the task only. */
function unfinished(guest: Identified, snapshot: Snapshot): readonly Problem[] {
  if (snapshot.unfinished === undefined) return [];
  const next = `Remove it with delete_snapshot {guest: "${guest.vmid}", name: "${snapshot.name}"}.`;
  return [
    conflict(guest, `has an unfinished snapshot ${snapshot.name} (${snapshot.unfinished})`, next),
  ];
}

function notThere(guest: Identified, name: string, all: readonly Snapshot[]): Problem {
  const names = all.map((one) => one.name);
  const has =
    names.length === 0
      ? "It has none"
      : `It has ${names.slice(-20).join(", ")}${names.length > 20 ? ` and ${names.length - 20} older` : ""}`;
  return new Problem("not_found", `${words(guest)} has no snapshot ${name.slice(0, 60)}. ${has}.`, {
    next: names.length === 0 ? "Take one with create_snapshot." : "Use one of these names.",
    facts: { argument: "name", vmid: guest.vmid, type: guest.type, node: guest.node, names },
  });
}

function since({ at }: Snapshot, now: number): string {
  if (at === undefined) return "";
  return ` (${at.slice(0, 16).replace("T", " ")} UTC, ${ago(Math.max(0, now - Date.parse(at)))})`;
}

function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}
