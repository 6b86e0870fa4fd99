import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { Verbs } from "../api/verbs.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { held, type Newcomers, type Rest } from "../cluster/newcomers.ts";
import type { VmidPool } from "../cluster/vmids.ts";
import type { Changes } from "../guests/changes.ts";
import { Stages } from "../tasks/stages.ts";
import { succeeded, type Task, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Blueprint, Draft, type Made, type NewGuest, type Step } from "./blueprint.ts";
import type { HalfMade } from "./half-made.ts";

export interface MakeOptions {
  readonly dryRun?: boolean | undefined;
}

/** A vmid that somebody took between our question and PVE's look is tried again with the next, this many times. */
const maxTries = 5;

/** Makes guests: fetches what they need, sends once, then takes the steps that follow. PVE: POST /nodes/{node}/{qemu|lxc} */
export class Creations {
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #vmids: VmidPool;
  readonly #newcomers: Newcomers;
  readonly #tasks: Tasks;
  readonly #halves: HalfMade;
  readonly #verbs: Verbs;
  /** Names, in lower case, of guests for which something is being fetched. */
  readonly #waiting = new Set<string>();

  constructor(base: {
    readonly lookup: Lookup;
    readonly changes: Changes;
    readonly vmids: VmidPool;
    readonly newcomers: Newcomers;
    readonly tasks: Tasks;
    readonly halves: HalfMade;
    readonly verbs: Verbs;
  }) {
    this.#lookup = base.lookup;
    this.#changes = base.changes;
    this.#vmids = base.vmids;
    this.#newcomers = base.newcomers;
    this.#tasks = base.tasks;
    this.#halves = base.halves;
    this.#verbs = base.verbs;
  }

  /**
   * Makes one guest. Throws `conflict` where name or vmid is taken, `busy` while it can't be told whether an earlier call has begun
   * it, and PVE's refusals; nothing is half done then. Whether or not anybody waits, a file is fetched first, and the steps are
   * taken when the guest is there.
   */
  async make(blueprint: Blueprint, call: Call, { dryRun }: MakeOptions): Promise<Made> {
    if (this.#waiting.has(blueprint.name.toLowerCase())) throw waiting(blueprint.name);
    try {
      let tried = false;
      return await this.#newcomers.make(blueprint, call, async (vmid) => {
        const draft = new Draft(blueprint, vmid);
        if (tried) await this.#assertFree(draft, call);
        tried = true;
        const made = draft.made();
        if (dryRun) return { result: made, sent: false };
        const task = await (blueprint.fetch ? this.#fetch(draft, call) : this.#once(draft, call));
        return { result: { ...made, task: draft.stages.whole(task) }, sent: true };
      });
    } catch (error) {
      if (!isProblem(error, "outcome_unknown")) blueprint.release?.();
      throw error;
    }
  }

  /** The guest follows when the file is there; its vmid and its name are kept for it meanwhile. */
  async #fetch(draft: Draft, call: Call): Promise<Task> {
    const { fetch } = draft.blueprint;
    if (!fetch) throw new TypeError("there is nothing to fetch");
    const name = draft.blueprint.name.toLowerCase();
    this.#waiting.add(name);
    const over = () => void this.#waiting.delete(name);
    const next = async (report: TaskReport, later: Call) => {
      draft.stages.next(draft.title);
      const task = await this.#send(draft, report, later).finally(over);
      return draft.stages.settle(task, later);
    };
    const otherwise = () => {
      over();
      draft.blueprint.release?.();
      this.#vmids.free(draft.vmid);
    };
    try {
      return await fetch.begin({ next, otherwise }, call);
    } catch (error) {
      over();
      throw error;
    }
  }

  /** Sends what nobody waits for any more, with the next vmid where somebody has taken the first. `report`: of what came before. */
  async #send(draft: Draft, report: TaskReport, call: Call): Promise<Task> {
    for (;;) {
      try {
        const other = await this.#assertFree(draft, call);
        if (other) return this.#insteadOf(draft, other, report);
        return await this.#once(draft, call);
      } catch (error) {
        const isTaken = isProblem(error, "conflict") && vmidTaken.test(error.message);
        if (await this.#nextVmid(draft, isTaken, call)) continue;
        if (!isProblem(error, "outcome_unknown")) draft.blueprint.release?.();
        throw error;
      }
    }
  }

  /**
   * Time has passed since we looked: an equal call elsewhere may have made it, or be about to. Answers what that has become, if we
   * can go on with it; throws `conflict` if not.
   */
  async #assertFree({ blueprint }: Draft, call: Call): Promise<Made | undefined> {
    const { type, name, instead } = blueprint;
    await this.#lookup.liveInventory(call);
    for (;;) {
      const half = await this.#halves.find(type, call);
      if (!half) break;
      await this.#tasks.wait(half.upid, { timeoutMs: creationMs, call });
      await this.#halves.learn(half, call);
    }
    const row = await this.#newcomers.holder(name, call);
    if (!row) return undefined;
    const made = await instead?.(call);
    if (made) return made;
    throw held(name, row);
  }

  /** Another's guest is ours as well. */
  #insteadOf(draft: Draft, other: Made, report: TaskReport): Task {
    draft.other = other;
    draft.blueprint.release?.();
    this.#vmids.free(draft.vmid);
    return other.task ?? ended(report);
  }

  /** Gives the vmid back and, where somebody else has it and none was wished for, takes the next. */
  async #nextVmid(draft: Draft, isTaken: boolean, call: Call): Promise<boolean> {
    const again = isTaken && draft.blueprint.vmid === undefined && ++draft.tries < maxTries;
    const before = draft.vmid;
    try {
      if (again) draft.vmid = await this.#vmids.take(undefined, call);
    } finally {
      this.#vmids.free(before);
    }
    return again;
  }

  async #once(draft: Draft, call: Call): Promise<Task> {
    const guest = draft.now();
    const follow = {
      followUp: (report: TaskReport, later: Call) => this.#finish(draft, report, later),
      recover: (report: TaskReport, later: Call) => this.#again(draft, report, later),
      onEnd: (report: TaskReport) => {
        this.#lookup.overlay.arrived(guest.vmid, succeeded(report) ? "stopped" : undefined);
        if (!succeeded(report)) this.#lookup.names.bury(guest);
        this.#vmids.free(guest.vmid);
        return [tags.row(guest)];
      },
    };
    const touches = [tags.guest(guest), tags.tasks];
    const plan = { touches, follow };
    const sending = this.#changes.send(draft.request(), plan, call);
    const task = await sending.catch((error: unknown) => {
      const lost = isProblem(error, "outcome_unknown");
      throw lost ? this.#newcomers.doubt(guest, error, restOf(draft)) : error;
    });
    const fresh = { status: "unknown", lock: "create", template: false };
    this.#lookup.expect({ ...guest, ...fresh, tags: draft.blueprint.tags });
    return task;
  }

  /** The vmid may be taken between PVE's first look and its worker's: then the next one. */
  async #again(draft: Draft, report: TaskReport, call: Call): Promise<TaskReport> {
    const isTaken = vmidTaken.test(report.exitstatus ?? "");
    if (!(await this.#nextVmid(draft, isTaken, call))) {
      draft.blueprint.release?.();
      return report;
    }
    const end = await draft.stages.settle(await this.#send(draft, report, call), call);
    return draft.other ? end : { vmid: draft.vmid, ...end };
  }

  /** It is there. */
  #finish(draft: Draft, report: TaskReport, call: Call): Promise<TaskReport> {
    const guest = draft.now();
    this.#lookup.names.learn(guest, guest.name);
    return this.#steps(draft.blueprint.steps, { guest, stages: draft.stages, report }, call);
  }

  /** Takes the steps that are left for a guest that is there. Answers the first task, whose end is the end of them all. */
  async goOn(guest: NewGuest, [first, ...rest]: Steps, call: Call): Promise<Task> {
    const stages = new Stages(rest.length + 1, first.says);
    const next = (report: TaskReport, later: Call) =>
      this.#steps(rest, { guest, stages, report }, later);
    const follow = {
      ...this.#follow(first, guest),
      followUp: next,
      ...(!first.essential && { recover: next }),
    };
    const touches = [tags.guest(guest), tags.tasks];
    try {
      const task = await this.#changes.send(first.request(guest), { touches, follow }, call);
      return stages.whole(task);
    } catch (error) {
      if (!isProblem(error) || !(await this.#isDone(first, guest, call))) throw error;
      return ended({ upid: "", node: guest.node, type: "", state: "ok" });
    }
  }

  async #steps(
    steps: readonly Step[],
    { guest, stages, report }: Progressing,
    call: Call,
  ): Promise<TaskReport> {
    const remarks: string[] = [];
    let last = report;
    let unstarted = {};
    for (const step of steps) {
      stages.next(step.says);
      const ended = await this.#step(step, guest, stages, call);
      if (step.essential) last = ended;
      if (succeeded(ended)) continue;
      if (step.essential) break;
      const why = ended.exitstatus ?? ended.state;
      remarks.push(`${step.says} failed: ${why}${step.mend?.(guest) ?? ""}`);
      if (step.leaves === "running") unstarted = { unstarted: true };
    }
    return remarks.length === 0 ? last : { ...last, remarks, ...unstarted };
  }

  async #step(step: Step, guest: NewGuest, stages: Stages, call: Call): Promise<TaskReport> {
    const touches = [tags.guest(guest), tags.tasks];
    const failed = { upid: "", node: guest.node, type: "", state: "failed" as const };
    try {
      const plan = { touches, follow: this.#follow(step, guest) };
      const task = await this.#changes.send(step.request(guest), plan, call);
      const report = await stages.settle(task, call);
      const done = report.state === "failed" && (await this.#isDone(step, guest, call));
      return done ? { ...report, state: "ok" } : report;
    } catch (error) {
      if (!isProblem(error)) throw error;
      if (await this.#isDone(step, guest, call)) return { ...failed, state: "ok" };
      if (step.essential) throw error;
      return { ...failed, exitstatus: error.message };
    }
  }

  /** An equal call elsewhere may have been faster. */
  async #isDone({ done }: Step, guest: NewGuest, call: Call): Promise<boolean> {
    return done?.(await this.#verbs.live(call, configQuestion(guest))) ?? false;
  }

  #follow({ leaves }: Step, guest: NewGuest) {
    return {
      onEnd: (report: TaskReport) => {
        if (succeeded(report) && leaves) this.#lookup.overlay.set(guest, { status: leaves });
        return leaves ? [] : [tags.row(guest)];
      },
    };
  }
}

type Steps = readonly [Step, ...Step[]];

interface Progressing {
  readonly guest: NewGuest;
  readonly stages: Stages;
  /** Of what came before. */
  readonly report: TaskReport;
}

function restOf({ blueprint: { steps, resumes } }: Draft): Rest {
  return { lacks: steps.map(({ lacks }) => lacks), repeat: resumes };
}

const vmidTaken = /already exists/;
/** How long an equal call elsewhere may take. */
const creationMs = 6 * 3_600_000;

/** A task whose end is a good one, and known. */
function ended({ upid, node, type }: TaskReport): Task {
  return { upid, settle: () => Promise.resolve({ upid, node, type, state: "ok" }) };
}

function waiting(name: string): Problem {
  const message = `"${name}" is being made by another call right now. Nothing was sent.`;
  return new Problem("conflict", message, {
    next: "See how far it is with get_tasks, or choose another name.",
    facts: { name },
  });
}
