import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { type GuestType, guestWords } from "../api/values.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { held, type Newcomers } from "../cluster/newcomers.ts";
import type { VmidPool } from "../cluster/vmids.ts";
import { start } from "../creation/blueprint.ts";
import { type Changed, type ChangeOptions, type Changes, lockedBy } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Take, Turns } from "../tasks/turns.ts";
import { attempt, type Clone, CloneFinish } from "./clone-finish.ts";
import { refusals } from "./clone-refusals.ts";
import { planSeries, type Series } from "./clone-series.ts";
import {
  hidden,
  restOf,
  type Settings,
  series,
  setupOf,
  setupRequest,
  unheard,
} from "./clone-setup.ts";

export interface CloneOptions extends Omit<ChangeOptions, "confirm">, Settings {
  readonly name: string;
  /** Until when to wait for one's turn, as clock time in ms. */
  readonly until: number;
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

interface Order {
  readonly reference: string;
  readonly kind: GuestType;
  readonly options: CloneOptions;
  readonly vmid: number;
  /** How often another vmid may be tried. */
  readonly again: number;
}

interface Planned extends Pick<Order, "options" | "vmid" | "again"> {
  readonly against: readonly Problem[];
}

/** The new guest, besides its source. */
export interface CloneOutcome {
  readonly source: Identified;
  readonly guest: Clone;
}

/** Clones from one node in flight, whichever call began them. */
const atOnce = 3;
/** A further try is followed as long as it takes. */
const cloneWaitMs = 24 * 3_600_000;
/** A vmid that somebody took between PVE's answer and its work is replaced this many times. */
const maxAgain = 5;

/** Clones guests, tags what it made and starts it. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/clone */
export class Clones {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #finish: CloneFinish;
  readonly #vmids: VmidPool;
  readonly #newcomers: Newcomers;
  readonly #turns: Turns;
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
    this.#finish = new CloneFinish(base, managedTag);
    this.#vmids = base.vmids;
    this.#newcomers = base.newcomers;
    this.#turns = new Turns(base.verbs.clock);
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
      const result = await this.#inTurn({ reference, kind, options, vmid, again: maxAgain }, call);
      return { result, sent: result.task !== undefined };
    });
  }

  /** Clones read and write whole disks: a node makes a few at a time, and who has waited asks for the name again. */
  #inTurn(order: Order, call: Call): Promise<Changed<CloneOutcome>> {
    const { name, until } = order.options;
    const turn = { atOnce, until, others, late: (node: string) => late(name, node) };
    return this.#turns.run(
      turn,
      call,
      async (take, tries) => {
        const row = tries > 1 ? await this.#newcomers.holder(name, call) : undefined;
        if (row) throw held(name, row);
        return this.#once(order, call, take);
      },
      ({ task }) => task !== undefined,
    );
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
      this.#once(
        { reference, kind: "qemu", options: { ...options, name, dryRun: true }, vmid, again: 0 },
        call,
      );
    return planSeries({ names, vmid: options.vmid }, parts, plan, call);
  }

  async #once(order: Order, call: Call, take?: Take): Promise<Changed<CloneOutcome>> {
    const { reference, kind, options, vmid, again } = order;
    let planned: Clone | undefined;
    const plan = async (source: Identified) => {
      planned = created(source, options, vmid);
      const parts = { verbs: this.#verbs, lookup: this.#lookup };
      const against = await refusals(source, options, parts, call);
      return this.#plan(source, { options, vmid, again, against });
    };
    const change = { reference, kind, state: false, plan };
    const { dryRun } = options;
    const confirm = (source: Identified) => take?.(source.node);
    const send = this.#changes.run(change, call, { dryRun, confirm });
    const changed = await send.catch((error: unknown) => {
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
    const touches = [tags.guest(guest), tags.tasks, tags.anyContent];
    return {
      says: `clones ${guestWords(source, from)} on ${source.node} to ${copy} on ${guest.node}, then ${taggingAndStart}`,
      against: [...lockedBy(source), ...against, ...unheard(source, options)],
      after: [...(setsUp ? [setsUp] : []), ...(options.start ? [start.request(guest)] : [])],
      // The source of a container's clone is locked meanwhile.
      touches: type === "lxc" ? [...touches, tags.guest(source)] : touches,
      request: cloneRequest(source, options, vmid),
      follow: {
        followUp: (report, call) => this.#finish.finish(report, guest, options, call),
        recover: (report, call) => this.#again(report, source, options, again, call),
        onEnd: (report) => {
          this.#turns.free(source.node);
          this.#lookup.overlay.arrived(vmid, succeeded(report) ? "stopped" : undefined);
          if (!succeeded(report)) this.#lookup.names.bury(guest);
          this.#vmids.free(vmid);
          return [tags.row(guest)];
        },
      },
    };
  }

  /** PVE takes a VM's vmid only when its worker runs: somebody else may have been faster. Then the next one is tried. */
  async #again(
    report: TaskReport,
    source: Identified,
    options: CloneOptions,
    left: number,
    call: Call,
  ): Promise<TaskReport> {
    const lost = /already exists/.test(report.exitstatus ?? "") && options.vmid === undefined;
    if (!lost || left === 0) return report;
    const remarks: string[] = [];
    let ended = report;
    await attempt(remarks, "It could not be tried again with another vmid", async () => {
      const vmid = await this.#vmids.take(undefined, call);
      const again = { ...options, until: this.#verbs.clock.now() + cloneWaitMs };
      const order = { reference: String(source.vmid), kind: source.type, options: again, vmid };
      const made = await this.#inTurn({ ...order, again: left - 1 }, call);
      const end = await made.task?.settle({ timeoutMs: cloneWaitMs });
      if (end) ended = { ...end, vmid: end.vmid ?? vmid };
    });
    return remarks.length === 0 ? ended : { ...ended, remarks };
  }
}

function created(source: Identified, options: CloneOptions, vmid: number): Clone {
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

function others(node: string): string {
  return `clones from ${node} are being made`;
}

function late(name: string, node: string): Problem {
  const message = `The turn of "${name}" has not come: ${atOnce} ${others(node)} already. Nothing was sent for it.`;
  return new Problem("busy", message, {
    next: "Repeat the call for it when they are ready (get_tasks shows them), or with a longer wait_s.",
    facts: { name, node, at_once: atOnce },
  });
}
