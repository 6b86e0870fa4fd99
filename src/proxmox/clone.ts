import { path } from "../http/path.ts";
import { isProblem, Problem } from "../problem.ts";
import type { Call } from "./call.ts";
import { type Changed, type ChangeOptions, type Changes, lockedBy, type Plan } from "./changes.ts";
import { tags } from "./freshness.ts";
import type { Identified } from "./identity.ts";
import { candidate, configQuestion, type Lookup } from "./lookup.ts";
import { succeeded, type Task, type TaskReport } from "./task.ts";
import type { Tasks } from "./tasks.ts";
import { type GuestId, type GuestType, guestWords } from "./values.ts";
import type { Verbs } from "./verbs.ts";
import type { VmidPool } from "./vmids.ts";

export interface CloneOptions extends ChangeOptions {
  readonly name: string;
  /** The new guest's vmid; the lowest free one when absent. */
  readonly vmid?: number | undefined;
  /** A full copy; absent: full for guests, linked for templates, as PVE has it. */
  readonly full?: boolean | undefined;
  readonly snapshot?: string | undefined;
  /** Where the new guest shall live; needs shared storage. */
  readonly node?: string | undefined;
  readonly storage?: string | undefined;
  readonly pool?: string | undefined;
  readonly start?: boolean | undefined;
}

/** The new guest, besides its source. */
export interface CloneOutcome {
  readonly source: Identified;
  readonly guest: GuestId & { readonly node: string; readonly name: string };
}

/** A vmid that somebody took between our question and our request is tried again with the next, this many times. */
const maxTries = 5;
const startWaitMs = 10 * 60_000;

/** Clones guests, tags what it made and starts it. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/clone */
export class Clones {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  readonly #vmids: VmidPool;
  readonly #managedTag: string;
  /** Names, in lower case, whose request is being prepared: two equal calls at once make one guest. */
  readonly #underWay = new Set<string>();

  constructor(
    base: { verbs: Verbs; lookup: Lookup; changes: Changes; tasks: Tasks; vmids: VmidPool },
    managedTag: string,
  ) {
    this.#verbs = base.verbs;
    this.#lookup = base.lookup;
    this.#changes = base.changes;
    this.#tasks = base.tasks;
    this.#vmids = base.vmids;
    this.#managedTag = managedTag;
  }

  /**
   * Clones once. Throws `conflict` where the name or the vmid is taken, `locked`, and PVE's refusals; nothing is half done then.
   * Whether or not anybody waits, the new guest is tagged, and started if wished, when the clone is ready.
   */
  async clone(
    reference: string,
    kind: GuestType,
    call: Call,
    options: CloneOptions,
  ): Promise<Changed<CloneOutcome>> {
    const name = options.name.toLowerCase();
    if (this.#underWay.has(name))
      throw taken(options.name, "is being made by another call right now");
    this.#underWay.add(name);
    try {
      await this.#nameIsFree(options, call);
      const vmid = await this.#vmids.take(options.vmid, call);
      return await this.#attempts(reference, kind, call, options, vmid);
    } finally {
      this.#underWay.delete(name);
    }
  }

  async #attempts(
    reference: string,
    kind: GuestType,
    call: Call,
    options: CloneOptions,
    first: number,
  ): Promise<Changed<CloneOutcome>> {
    let vmid = first;
    for (let attempt = 1; ; attempt++) {
      try {
        const changed = await this.#once(reference, kind, call, options, vmid);
        if (!changed.task) this.#vmids.free(vmid);
        return changed;
      } catch (error) {
        // Where the answer was lost, the guest may be under way: its vmid stays taken.
        if (isProblem(error, "outcome_unknown")) throw error;
        const vmidTaken = isProblem(error, "conflict") && /already exists/.test(error.message);
        const again = vmidTaken && options.vmid === undefined && attempt < maxTries;
        const next = again ? await this.#vmids.take(undefined, call) : undefined;
        this.#vmids.free(vmid);
        if (next === undefined) throw error;
        vmid = next;
      }
    }
  }

  async #once(
    reference: string,
    kind: GuestType,
    call: Call,
    options: CloneOptions,
    vmid: number,
  ): Promise<Changed<CloneOutcome>> {
    const plan = (source: Identified) => this.#plan(source, options, vmid);
    const change = { reference, kind, state: false, plan };
    const changed = await this.#changes.run(change, call, options);
    const source = changed.guest;
    const guest = created(source, options, vmid);
    if (changed.task) {
      this.#lookup.expect({
        ...guest,
        status: "unknown",
        lock: "clone",
        tags: [],
        template: false,
      });
    }
    return { ...changed, guest: { source, guest } };
  }

  #plan(source: Identified, options: CloneOptions, vmid: number): Plan {
    const { type, name: from } = source;
    const guest = created(source, options, vmid);
    const copy = guestWords(guest, guest.name);
    const taggingAndStart = [
      `tags it ${this.#managedTag}`,
      ...(options.start ? ["starts it"] : []),
    ].join(" and ");
    const touches = [tags.guest(guest), tags.tasks];
    return {
      says: `clones ${guestWords(source, from)} on ${source.node} to ${copy} on ${guest.node}, then ${taggingAndStart}`,
      against: [...lockedBy(source), ...linkedWithStorage(source, options)],
      // The source of a container's clone is locked meanwhile.
      touches: type === "lxc" ? [...touches, tags.guest(source)] : touches,
      request: {
        method: "POST",
        path: path`/nodes/${source.node}/${type}/${source.vmid}/clone`,
        params: {
          newid: vmid,
          [type === "qemu" ? "name" : "hostname"]: options.name,
          full: options.full,
          snapname: options.snapshot,
          target: options.node === source.node ? undefined : options.node,
          storage: options.storage,
          pool: options.pool,
        },
      },
      follow: {
        followUp: (report, call) => this.#finish(report, guest, options, call),
        onEnd: (report) => {
          this.#lookup.overlay.arrived(vmid, succeeded(report) ? "stopped" : undefined);
          this.#vmids.free(vmid);
          return [tags.inventory];
        },
      },
    };
  }

  /** Names need not be unique for PVE, but two guests of one name help nobody, and a repeated call would make the second. */
  async #nameIsFree(options: CloneOptions, call: Call): Promise<void> {
    const inventory = await this.#lookup.inventory(call);
    const [row] = this.#lookup.rowsNamed(options.name, inventory);
    if (!row) return;
    const facts = candidate({ row, name: options.name });
    throw taken(options.name, `is ${guestWords(row)} on ${row.node} already`, facts);
  }

  /** The clone is there: tag it as ours, then start it. Neither failing makes the clone fail. */
  async #finish(
    report: TaskReport,
    guest: CloneOutcome["guest"],
    options: CloneOptions,
    call: Call,
  ): Promise<TaskReport> {
    // Its row goes on under the name that Proxmox invents meanwhile (`VM 310`) until the next round.
    this.#lookup.names.learn(guest, guest.name);
    const remarks: string[] = [];
    await attempt(remarks, `It could not be tagged ${this.#managedTag}`, () =>
      this.#tag(guest, call),
    );
    const tagged = remarks.length;
    if (options.start) {
      await attempt(remarks, "It could not be started", async () => {
        const started = await (await this.#start(guest, call)).settle({ timeoutMs: startWaitMs });
        if (started.state === "failed") throw new Problem("task_failed", started.exitstatus ?? "");
      });
    }
    const unstarted = remarks.length > tagged ? { unstarted: true as const } : {};
    return remarks.length === 0 ? report : { ...report, remarks, ...unstarted };
  }

  async #tag(guest: CloneOutcome["guest"], call: Call): Promise<void> {
    const config = await this.#verbs.live(call, configQuestion(guest));
    if (config.tags.includes(this.#managedTag)) return;
    const request = {
      method: "PUT" as const,
      path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/config`,
      params: { tags: [...config.tags, this.#managedTag].join(";"), digest: config.digest },
    };
    await this.#verbs.change(call, request, [tags.guest(guest), tags.inventory]);
  }

  async #start(guest: CloneOutcome["guest"], call: Call): Promise<Task> {
    const touches = [tags.guest(guest), tags.tasks];
    const request = {
      method: "POST" as const,
      path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/status/start`,
    };
    const answer = await this.#verbs.change(call, request, touches);
    return this.#tasks.follow(answer, {
      touches,
      onEnd: (report) => {
        if (succeeded(report)) this.#lookup.overlay.set(guest, { status: "running" });
        return [];
      },
    });
  }
}

function created(source: Identified, options: CloneOptions, vmid: number): CloneOutcome["guest"] {
  const { type } = source;
  return { type, vmid, node: options.node ?? source.node, name: options.name };
}

/** PVE: Qemu.pm clone_vm: a linked clone shares its source's storage. */
function linkedWithStorage(source: Identified, options: CloneOptions): readonly Problem[] {
  const linked = options.full === false || (options.full === undefined && source.config.template);
  if (!linked || options.storage === undefined) return [];
  return [
    new Problem(
      "invalid_input",
      "A linked clone stays on its source's storage; `storage` can't be given.",
      {
        next: "Leave storage out, or set full: true for a full copy there.",
      },
    ),
  ];
}

function taken(name: string, how: string, facts: Problem["facts"] = {}): Problem {
  return new Problem("conflict", `"${name}" ${how}. Nothing was sent.`, {
    next: "Choose another name; or if an earlier call of yours made it, go on with that guest.",
    facts,
  });
}

async function attempt(remarks: string[], what: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isProblem(error)) throw error;
    remarks.push(`${what}: ${error.message}`);
  }
}
