import { path } from "../http/path.ts";
import { isProblem, Problem } from "../problem.ts";
import { start } from "./blueprint.ts";
import type { Call } from "./call.ts";
import { type Changed, type ChangeOptions, type Changes, lockedBy, type Plan } from "./changes.ts";
import { refusals } from "./clone-refusals.ts";
import { planSeries, type Series } from "./clone-series.ts";
import {
  hidden,
  restOf,
  type Settings,
  type Setup,
  series,
  setupOf,
  setupRequest,
  unheard,
} from "./clone-setup.ts";
import { tags } from "./freshness.ts";
import type { Identified } from "./identity.ts";
import { configQuestion, type Lookup } from "./lookup.ts";
import type { Newcomers } from "./newcomers.ts";
import { succeeded, type Task, type TaskReport } from "./task.ts";
import type { Tasks } from "./tasks.ts";
import { type GuestId, type GuestType, guestWords } from "./values.ts";
import type { ChangeRequest, Verbs } from "./verbs.ts";
import type { VmidPool } from "./vmids.ts";

export interface CloneOptions extends ChangeOptions, Settings {
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

interface Planned {
  readonly options: CloneOptions;
  readonly vmid: number;
  readonly again: number;
  readonly against: readonly Problem[];
}

/** The new guest, besides its source. */
export interface CloneOutcome {
  readonly source: Identified;
  readonly guest: GuestId & { readonly node: string; readonly name: string };
}

const startWaitMs = 10 * 60_000;
/** A further try is followed as long as it takes. */
const cloneWaitMs = 24 * 3_600_000;
/** A vmid that somebody took between PVE's answer and its work is replaced this many times. */
const maxAgain = 5;

/** Clones guests, tags what it made and starts it. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/clone */
export class Clones {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  readonly #vmids: VmidPool;
  readonly #newcomers: Newcomers;
  readonly #managedTag: string;

  constructor(
    base: {
      readonly verbs: Verbs;
      readonly lookup: Lookup;
      readonly changes: Changes;
      readonly tasks: Tasks;
      readonly vmids: VmidPool;
      readonly newcomers: Newcomers;
    },
    managedTag: string,
  ) {
    this.#verbs = base.verbs;
    this.#lookup = base.lookup;
    this.#changes = base.changes;
    this.#tasks = base.tasks;
    this.#vmids = base.vmids;
    this.#newcomers = base.newcomers;
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
    setupOf(options);
    return this.#newcomers.make(options, call, async (vmid) => {
      const result = await this.#once(reference, kind, call, options, vmid);
      return { result, sent: result.task !== undefined };
    });
  }

  /** The names of several clones, counted up from the first. Throws `invalid_input` for one fixed address for all. */
  series(name: string, count: number, ips: readonly string[] | undefined): readonly string[] {
    return series(name, count, ips);
  }

  /** Plans several, as `clone` does one with `dryRun`: each has a vmid of its own, and what speaks against any of them is told. */
  async planSeries(
    reference: string,
    call: Call,
    options: CloneOptions,
    names: readonly string[],
  ): Promise<Series<CloneOutcome>> {
    setupOf(options);
    const parts = { newcomers: this.#newcomers, vmids: this.#vmids };
    const plan = ({ name, vmid }: { readonly name: string; readonly vmid: number }) =>
      this.#once(reference, "qemu", call, { ...options, name, dryRun: true }, vmid);
    return planSeries({ names, vmid: options.vmid }, parts, plan, call);
  }

  async #once(
    reference: string,
    kind: GuestType,
    call: Call,
    options: CloneOptions,
    vmid: number,
    again = maxAgain,
  ): Promise<Changed<CloneOutcome>> {
    let planned: CloneOutcome["guest"] | undefined;
    const plan = async (source: Identified) => {
      planned = created(source, options, vmid);
      const parts = { verbs: this.#verbs, lookup: this.#lookup };
      const against = await refusals(source, options, parts, call);
      return this.#plan(source, { options, vmid, again, against });
    };
    const change = { reference, kind, state: false, plan };
    const changed = await this.#changes.run(change, call, options).catch((error: unknown) => {
      const lost = isProblem(error, "outcome_unknown");
      throw lost && planned ? this.#newcomers.doubt(planned, error, restOf(options)) : error;
    });
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

  #plan(source: Identified, { options, vmid, again, against }: Planned): Plan {
    const { type, name: from } = source;
    const guest = created(source, options, vmid);
    const copy = guestWords(guest, guest.name);
    const setup = hidden(setupOf(options));
    const taggingAndStart = [
      `tags it ${this.#managedTag}`,
      ...(setup.wanted ? ["sets it up"] : []),
      ...(options.start ? ["starts it"] : []),
    ].join(" and ");
    const { tags: own, raw } = source.config;
    const setsUp = setupRequest(guest, { tags: own, raw }, setup, this.#managedTag);
    const touches = [tags.guest(guest), tags.tasks];
    return {
      says: `clones ${guestWords(source, from)} on ${source.node} to ${copy} on ${guest.node}, then ${taggingAndStart}`,
      against: [...lockedBy(source), ...against, ...unheard(source, options)],
      after: [...(setsUp ? [setsUp] : []), ...(options.start ? [start.request(guest)] : [])],
      // The source of a container's clone is locked meanwhile.
      touches: type === "lxc" ? [...touches, tags.guest(source)] : touches,
      request: cloneRequest(source, options, vmid),
      follow: {
        followUp: (report, call) => this.#finish(report, guest, options, call),
        recover: (report, call) => this.#again(report, source, options, again, call),
        onEnd: (report) => {
          this.#lookup.overlay.arrived(vmid, succeeded(report) ? "stopped" : undefined);
          if (!succeeded(report)) this.#lookup.names.bury(guest);
          this.#vmids.free(vmid);
          return [tags.inventory];
        },
      },
    };
  }

  /** PVE takes a VM's vmid only when its worker runs: somebody else may have been faster. Then the next one is tried. */
  async #again(
    report: TaskReport,
    source: Identified,
    options: CloneOptions,
    again: number,
    call: Call,
  ): Promise<TaskReport> {
    const lost = /already exists/.test(report.exitstatus ?? "") && options.vmid === undefined;
    if (!lost || again === 0) return report;
    const remarks: string[] = [];
    let ended = report;
    await attempt(remarks, "It could not be tried again with another vmid", async () => {
      const vmid = await this.#vmids.take(undefined, call);
      const reference = String(source.vmid);
      const made = await this.#once(reference, source.type, call, options, vmid, again - 1);
      const end = await made.task?.settle({ timeoutMs: cloneWaitMs });
      if (end) ended = { ...end, vmid: end.vmid ?? vmid };
    });
    return remarks.length === 0 ? ended : { ...ended, remarks };
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
    const setup = setupOf(options);
    const what = setup.wanted ? "set up" : `tagged ${this.#managedTag}`;
    await attempt(remarks, `It could not be ${what}`, () => this.#setUp(guest, setup, call));
    const before = remarks.length;
    // A first start without what cloud-init was to tell cannot be taken back.
    const fit = before === 0 || !setup.wanted;
    if (options.start && !fit) remarks.push("It was not started for that reason.");
    if (options.start && fit) {
      await attempt(remarks, "It could not be started", async () => {
        const started = await (await this.#start(guest, call)).settle({ timeoutMs: startWaitMs });
        if (started.state === "failed") throw new Problem("task_failed", started.exitstatus ?? "");
      });
    }
    const unstarted = remarks.length > before ? { unstarted: true as const } : {};
    return remarks.length === 0 ? report : { ...report, remarks, ...unstarted };
  }

  async #setUp(guest: CloneOutcome["guest"], setup: Setup, call: Call): Promise<void> {
    const config = await this.#verbs.live(call, configQuestion(guest));
    const request = setupRequest(guest, config, setup, this.#managedTag);
    if (request) await this.#verbs.change(call, request, [tags.guest(guest), tags.inventory]);
  }

  async #start(guest: CloneOutcome["guest"], call: Call): Promise<Task> {
    const touches = [tags.guest(guest), tags.tasks];
    const answer = await this.#verbs.change(call, start.request(guest), touches);
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

function cloneRequest(source: Identified, options: CloneOptions, vmid: number): ChangeRequest {
  const { node, type } = source;
  return {
    method: "POST",
    path: path`/nodes/${node}/${type}/${source.vmid}/clone`,
    params: {
      newid: vmid,
      [type === "qemu" ? "name" : "hostname"]: options.name,
      full: options.full,
      snapname: options.snapshot,
      target: options.node === node ? undefined : options.node,
      storage: options.storage,
      pool: options.pool,
    },
  };
}

async function attempt(remarks: string[], what: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isProblem(error)) throw error;
    remarks.push(`${what}: ${error.message}`);
  }
}
