import { isProblem, Problem } from "../problem.ts";
import { type Blueprint, Draft, type Made, type NewGuest, type Step } from "./blueprint.ts";
import type { Call } from "./call.ts";
import type { Changes } from "./changes.ts";
import { tags } from "./freshness.ts";
import { candidate, type Lookup } from "./lookup.ts";
import type { Stages } from "./stages.ts";
import { type FollowUp, succeeded, type Task, type TaskReport } from "./task.ts";
import { guestWords } from "./values.ts";
import type { VmidPool } from "./vmids.ts";

/** A vmid that somebody took between our question and our request is tried again with the next, this many times. */
const maxTries = 5;

/** Makes guests: chooses their vmid, sends once, then takes the steps that follow. PVE: POST /nodes/{node}/{qemu|lxc} */
export class Creations {
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #vmids: VmidPool;
  /** Names, in lower case, that no row shows yet: two equal calls at once make one guest. */
  readonly #underWay = new Set<string>();

  constructor(base: {
    readonly lookup: Lookup;
    readonly changes: Changes;
    readonly vmids: VmidPool;
  }) {
    this.#lookup = base.lookup;
    this.#changes = base.changes;
    this.#vmids = base.vmids;
  }

  /** Throws `conflict` where the name is taken, or is being made. */
  async nameIsFree(name: string, call: Call): Promise<void> {
    if (this.#underWay.has(name.toLowerCase())) {
      throw taken(name, "is being made by another call right now");
    }
    const inventory = await this.#lookup.inventory(call);
    const [row] = this.#lookup.rowsNamed(name, inventory);
    if (!row) return;
    throw taken(name, `is ${guestWords(row)} on ${row.node} already`, candidate({ row, name }));
  }

  /**
   * Makes one guest. Throws `conflict` where name or vmid is taken, and PVE's refusals; nothing is half done then. Whether or not
   * anybody waits, a file is fetched first, and the steps are taken when the guest is there.
   */
  async make(
    blueprint: Blueprint,
    call: Call,
    { dryRun }: { readonly dryRun?: boolean | undefined },
  ): Promise<Made> {
    await this.nameIsFree(blueprint.name, call);
    const name = blueprint.name.toLowerCase();
    // Asked again without a pause in between: only one of two equal calls gets past this.
    if (this.#underWay.has(name)) throw taken(blueprint.name, "is being made by another call");
    this.#underWay.add(name);
    const release = () => void this.#underWay.delete(name);
    try {
      const draft = new Draft(blueprint, await this.#vmids.take(blueprint.vmid, call));
      const made = draft.made();
      if (dryRun) {
        this.#vmids.free(draft.vmid);
        return made;
      }
      const task = await this.#begin(draft, release, call);
      return { ...made, task: draft.stages.whole(task) };
    } finally {
      if (!blueprint.fetch || dryRun) release();
    }
  }

  async #begin(draft: Draft, release: () => void, call: Call): Promise<Task> {
    const { fetch } = draft.blueprint;
    if (!fetch) return this.#send(draft, call);
    const giveUp = () => {
      release();
      this.#vmids.free(draft.vmid);
    };
    const then: FollowUp = async (_, later) => {
      draft.stages.next(draft.title);
      const task = await this.#send(draft, later).finally(release);
      return draft.stages.settle(task, later);
    };
    const otherwise: FollowUp = async (report) => {
      giveUp();
      return report;
    };
    try {
      return await fetch.begin({ then, otherwise }, call);
    } catch (error) {
      giveUp();
      throw error;
    }
  }

  async #send(draft: Draft, call: Call): Promise<Task> {
    for (;;) {
      try {
        return await this.#once(draft, call);
      } catch (error) {
        // Where the answer was lost, the guest may be under way: its vmid stays taken.
        if (isProblem(error, "outcome_unknown")) throw error;
        const isTaken = isProblem(error, "conflict") && vmidTaken.test(error.message);
        if (await this.#nextVmid(draft, isTaken, call)) continue;
        throw error;
      }
    }
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
        if (succeeded(report)) this.#vmids.free(guest.vmid);
        return [tags.inventory];
      },
    };
    const touches = [tags.guest(guest), tags.tasks];
    const task = await this.#changes.send(draft.request(), { touches, follow }, call);
    const { tags: own } = draft.blueprint;
    const row = { ...guest, status: "unknown", lock: "create", tags: own, template: false };
    this.#lookup.expect(row);
    return task;
  }

  /** The vmid may be taken between PVE's first look and its worker's: then the next one. */
  async #again(draft: Draft, report: TaskReport, call: Call): Promise<TaskReport> {
    const isTaken = vmidTaken.test(report.exitstatus ?? "");
    if (!(await this.#nextVmid(draft, isTaken, call))) return report;
    return draft.stages.settle(await this.#send(draft, call), call);
  }

  /** It is there. */
  async #finish(draft: Draft, report: TaskReport, call: Call): Promise<TaskReport> {
    const guest = draft.now();
    this.#lookup.names.learn(guest, guest.name);
    const remarks: string[] = [];
    let last = report;
    let unstarted = {};
    for (const step of draft.blueprint.steps) {
      draft.stages.next(step.says);
      const ended = await this.#step(step, guest, draft.stages, call);
      if (step.essential) last = ended;
      if (succeeded(ended)) continue;
      if (step.essential) break;
      remarks.push(`${step.says} failed: ${ended.exitstatus ?? ended.state}`);
      if (step.leaves === "running") unstarted = { unstarted: true };
    }
    return remarks.length === 0 ? last : { ...last, remarks, ...unstarted };
  }

  async #step(step: Step, guest: NewGuest, stages: Stages, call: Call): Promise<TaskReport> {
    const { leaves } = step;
    const onEnd = (report: TaskReport) => {
      if (succeeded(report) && leaves) this.#lookup.overlay.set(guest, { status: leaves });
      return leaves ? [] : [tags.inventory];
    };
    const touches = [tags.guest(guest), tags.tasks];
    try {
      const plan = { touches, follow: { onEnd } };
      return await stages.settle(await this.#changes.send(step.request(guest), plan, call), call);
    } catch (error) {
      if (step.essential || !isProblem(error)) throw error;
      return { upid: "", node: guest.node, type: "", state: "failed", exitstatus: error.message };
    }
  }
}

const vmidTaken = /already exists/;

function taken(name: string, how: string, facts: Problem["facts"] = {}): Problem {
  return new Problem("conflict", `"${name}" ${how}. Nothing was sent.`, {
    next: "Choose another name; or if an earlier call of yours made it, go on with that guest.",
    facts,
  });
}
