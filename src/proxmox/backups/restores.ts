import { isProblem, Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { guestWords, kindWord } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { GuestRow } from "../cluster/inventory.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Newcomer, Newcomers } from "../cluster/newcomers.ts";
import type { VmidPool } from "../cluster/vmids.ts";
import {
  type Changed,
  type ChangeOptions,
  type Changes,
  conflict,
  lockedBy,
} from "../guests/changes.ts";
import { statusQuestion } from "../guests/guest-status.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import { storageOf, type Volume } from "../storage/volumes.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded, type TaskReport } from "../tasks/task.ts";
import { archiveQuestion } from "./archive.ts";
import { typeOf } from "./backups.ts";
import { afterFailure } from "./restore-failure.ts";
import {
  type Archive,
  type RestoreOrder,
  restoreRequest,
  roomFor,
  storageFor,
} from "./restore-plan.ts";
import { afterwards, isOther, losses, nameTaken, words } from "./restore-words.ts";

export interface RestoreOptions extends ChangeOptions {
  readonly storage?: string | undefined;
  readonly start?: boolean | undefined;
}

export interface BesideOptions extends RestoreOptions {
  /** The backup's own where it is free, else with `-restored` behind it. */
  readonly name?: string | undefined;
  readonly vmid?: number | undefined;
  readonly node?: string | undefined;
}

export interface OverOptions extends RestoreOptions {
  /** The backup's own when absent. */
  readonly name?: string | undefined;
  /** Asked with what will be lost, before anything is sent; throws to refuse. */
  readonly ask: (guest: Identified, lost: readonly string[]) => Promise<void> | void;
}

interface Draft extends Pick<RestoreOrder, "archive" | "storage" | "start"> {
  /** What is short where the caller wants it all the same. */
  readonly short: string | undefined;
  /** Only what the caller has wished for, where a guest is written over. */
  readonly name?: string | undefined;
}

export interface Base {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly storages: Storages;
  readonly changes: Changes;
  readonly vmids: VmidPool;
  readonly newcomers: Newcomers;
}

/** Bringing guests back from backups, as new guests or over those that there are. PVE: POST /nodes/{node}/{qemu|lxc} */
export class Restores {
  readonly #base: Base;
  readonly #managedTag: string;

  constructor(base: Base, managedTag: string) {
    this.#base = base;
    this.#managedTag = managedTag;
  }

  /** The problem of a restore that failed in its task, with what it leaves. */
  failed(problem: Problem, guest: Newcomer | Identified, over: boolean): Problem {
    return afterFailure(problem, guest, over);
  }

  /**
   * Makes a new guest of a backup, with new MAC addresses and our tag; the guest that it was stays as it is. Throws `not_found` for the
   * backup, `conflict` for a name, a vmid or a storage that is taken or not fit.
   */
  async beside(volid: string, call: Call, options: BesideOptions): Promise<Changed<Newcomer>> {
    const { newcomers, lookup } = this.#base;
    const archive = await this.#archive(volid, options.node, call);
    const inventory = await lookup.inventory(call);
    const own = lookup.rowsNamed(archive.config.name ?? "", inventory).length === 0;
    const old = archive.config.name ?? `restored-${archive.volume.vmid}`;
    const name = options.name ?? (own ? old : `${old}-restored`);
    const node = options.node ?? archive.volume.node;
    const storage = storageFor(archive, node, options.storage, inventory);
    const named = options.storage !== undefined;
    const short = roomFor({ archive, node, storage, named }, inventory);
    const wish = { name, vmid: options.vmid };
    return newcomers.make<Changed<Newcomer>>(wish, call, async (vmid) => {
      const guest: Newcomer = { type: archive.type, vmid, node, name };
      const plan = this.#besidePlan(guest, { archive, storage, short, start: options.start });
      if (options.dryRun) return { result: { guest, changed: false, plan }, sent: false };
      return { result: await this.#send(guest, plan, call), sent: true };
    });
  }

  /**
   * Puts a backup in the place of a guest, which has to be off. One that was not backed up gets new MAC addresses. Throws `conflict`
   * while it runs, is protected or is of the other kind, or where its new name is another guest's, `locked`, and what `beside` throws
   * for the backup.
   */
  async over(
    volid: string,
    reference: string,
    call: Call,
    options: OverOptions,
  ): Promise<Changed<Identified> & { readonly name: string | undefined }> {
    const { changes, lookup } = this.#base;
    let archive: Archive | undefined;
    const newName = () => options.name ?? archive?.config.name;
    const plan = async (guest: Identified) => {
      archive = await this.#archive(volid, guest.node, call);
      const inventory = await lookup.liveInventory(call);
      assertSameKind(guest, archive);
      const { node, config } = guest;
      const storage = storageFor(archive, node, options.storage, inventory);
      const named = options.storage !== undefined;
      const order = { archive, node, storage, named, replaced: config.disks };
      const short = roomFor(order, inventory);
      const { name, start } = options;
      const holders = lookup.rowsNamed(newName() ?? "", inventory);
      return this.#overPlan(guest, { archive, storage, short, start, name }, holders);
    };
    const change = { reference, kind: "any" as const, state: true, plan };
    const changed = await changes.run(change, call, {
      dryRun: options.dryRun,
      confirm: (guest) => options.ask(guest, archive ? losses(guest, archive, newName()) : []),
    });
    return { ...changed, name: newName() };
  }

  #besidePlan(guest: Newcomer, { short, ...order }: Draft): Plan {
    const { archive } = order;
    const { vmid, node, name } = guest;
    const marked = new Set([...archive.config.tags, this.#managedTag]);
    return {
      says: `makes ${guestWords(guest, name)} on ${node} from ${words(archive)}${but(short)}`,
      against: [],
      touches: [tags.guest(guest), tags.tasks, tags.anyContent],
      request: restoreRequest({ ...order, vmid, node, name, over: false, tags: [...marked] }),
      follow: {
        followUp: (report, call) => this.#started(report, guest, order.start, call),
        onEnd: (report) => {
          const { overlay, names } = this.#base.lookup;
          const well = succeeded(report);
          // Proxmox takes a container away again that came to nothing, and leaves a VM.
          const there = well || guest.type === "qemu";
          const state = well && order.start ? "running" : "stopped";
          overlay.arrived(vmid, there ? state : undefined);
          if (!well) names.bury(guest);
          this.#base.vmids.free(vmid);
          return [tags.row(guest)];
        },
      },
    };
  }

  /** `holders`: who has the name that it will have. */
  #overPlan(guest: Identified, { short, ...order }: Draft, holders: readonly GuestRow[]): Plan {
    const { vmid, node } = guest;
    const state = guest.status?.status ?? "stopped";
    const stop = `Stop it first: stop_guest {guest: "${guest.vmid}"}; or restore beside it: leave guest out.`;
    const unprotect = "Have the option `protection` taken off first, or leave guest out.";
    const name = order.name ?? order.archive.config.name;
    const then = afterwards(guest, order.archive, name);
    return {
      says: `puts ${words(order.archive)} in the place of ${guestWords(guest, guest.name)} on ${node}${then === undefined ? "" : `; ${then}`}${but(short)}`,
      against: [
        ...lockedBy(guest),
        ...(state === "stopped"
          ? []
          : [conflict(guest, `is ${state}, and only a stopped guest is written over`, stop)]),
        ...(guest.config.protection ? [conflict(guest, "is protected", unprotect)] : []),
        ...nameTaken(guest, name, holders),
      ],
      touches: [tags.guest(guest), tags.row(guest), tags.tasks, tags.anyContent],
      request: restoreRequest({
        ...order,
        vmid,
        node,
        over: true,
        other: isOther(guest, order.archive),
      }),
      follow: {
        followUp: (report, call) => this.#started(report, guest, order.start, call),
        onEnd: (report) => {
          const { overlay, names } = this.#base.lookup;
          if (!succeeded(report)) return [];
          if (name !== undefined) {
            names.learn(guest, name);
            names.tell(guest, name);
          }
          overlay.set(guest, { status: order.start ? "running" : "stopped" });
          return [];
        },
      },
    };
  }

  async #send(guest: Newcomer, plan: Plan, call: Call): Promise<Changed<Newcomer>> {
    const { changes, lookup, newcomers } = this.#base;
    if (!plan.request) throw new TypeError("a restore is planned with its request");
    try {
      const task = await changes.send(plan.request, plan, call);
      const row = { status: "unknown", lock: "create", tags: [], template: false };
      lookup.expect({ ...guest, ...row });
      return { guest, changed: true, plan, task };
    } catch (error) {
      throw isProblem(error, "outcome_unknown") ? newcomers.doubt(guest, error) : error;
    }
  }

  /** PVE starts it by a task of its own, whose failure the restore does not tell. */
  async #started(
    report: TaskReport,
    guest: Newcomer | Identified,
    start: boolean | undefined,
    call: Call,
  ): Promise<TaskReport> {
    if (!start) return report;
    const { verbs, lookup } = this.#base;
    const { status } = await verbs.live(call, statusQuestion(guest));
    if (status !== "stopped") return report;
    lookup.overlay.set(guest, { status });
    const remarks = [...(report.remarks ?? []), "It could not be started: start_guest says why."];
    return { ...report, remarks, unstarted: true };
  }

  /** The backup past the cache, through `node` where it can be seen from there, and what is in it. */
  async #archive(volid: string, node: string | undefined, call: Call): Promise<Archive> {
    const storage = storageOf(volid);
    if (storage === undefined || !volid.includes(":backup/")) throw noBackup(volid);
    if (node !== undefined) await this.#base.storages.place(storage, node, call);
    const { volumes } = await this.#base.storages.content(storage, { live: true }, call);
    const copies = volumes.filter((volume) => volume.volid === volid);
    const found = copies.find((one) => one.node === node) ?? copies[0];
    if (!found) throw notThere(volid, volumes);
    if (node !== undefined && !found.shared && found.node !== node) throw elsewhere(found, node);
    const volume = node === undefined ? found : { ...found, node };
    const type = typeOf(volume);
    const config = await this.#base.verbs.live(call, archiveQuestion(volume, type));
    return { volume, type, config };
  }
}

function but(short: string | undefined): string {
  return short === undefined ? "" : `, but ${short}`;
}

function assertSameKind(guest: Identified, { type, volume }: Archive): void {
  if (guest.type === type) return;
  const facts = { argument: "guest", vmid: guest.vmid, type: guest.type, node: guest.node };
  const who = `${guestWords(guest, guest.name)} on ${guest.node}`;
  throw new Problem("invalid_input", `${volume.volid} holds a ${kindWord(type)}, not ${who}.`, {
    next: "Leave guest out to make a new guest of it.",
    facts,
  });
}

function noBackup(volid: string): Problem {
  return new Problem("invalid_input", `"${volid.slice(0, 80)}" is not the volid of a backup.`, {
    next: "Give it as list_backups {guest} shows it.",
    facts: { argument: "volume" },
  });
}

function notThere(volid: string, volumes: readonly Volume[]): Problem {
  const names = volumes.filter(({ content }) => content === "backup").map((one) => one.volid);
  const near = closest(volid, names, 3);
  const hint = near.length === 0 ? "" : ` Closest: ${near.join(", ")}.`;
  return new Problem("not_found", `No node lists ${volid}.${hint}`, {
    next: "list_backups {guest} shows what there is; what these credentials may not use is not listed.",
    facts: { argument: "volume", volid, closest: near },
  });
}

function elsewhere({ volid, node: home, storage }: Volume, node: string): Problem {
  const what = `${volid} lies on ${storage} of ${home} alone and can't be read from ${node}.`;
  return new Problem("conflict", `${what} Nothing was sent.`, {
    next: `Restore it beside, on ${home}: leave guest and node out; then migrate_guest takes it further.`,
    facts: { volid, node, home },
  });
}
