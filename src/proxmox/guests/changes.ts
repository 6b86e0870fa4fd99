import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { rowsOf, tags } from "../api/freshness.ts";
import { type GuestKind, guestWords, parseUpid } from "../api/values.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import { rowSettlesMs } from "../tasks/activity.ts";
import { Exclusive } from "../tasks/exclusive.ts";
import type { Plan } from "../tasks/plan.ts";
import type { Task } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { Identified, Identity } from "./identity.ts";

export interface ChangeOptions {
  /** Reads and plans, sends nothing else. */
  readonly dryRun?: boolean | undefined;
  /** Asked after everything is known and before anything is sent; throws to refuse. */
  readonly confirm?: (guest: Identified) => Promise<void> | void;
}

/** What came of a change: planned only, not needed, or begun. */
export interface Changed<Subject> {
  readonly guest: Subject;
  readonly changed: boolean;
  readonly plan: Plan;
  readonly task?: Task;
}

export interface GuestChange {
  readonly reference: string;
  readonly kind: GuestKind;
  /** Whether the live state matters (one more read). */
  readonly state: boolean;
  readonly plan: (guest: Identified) => Promise<Plan> | Plan;
}

/** The one road of every change to a guest: identify past the cache, plan, refuse or send once, follow. */
export class Changes {
  readonly #verbs: Verbs;
  readonly #identity: Identity;
  readonly #tasks: Tasks;
  /** By vmid. */
  readonly #exclusive = new Exclusive<number>();

  constructor(verbs: Verbs, identity: Identity, tasks: Tasks) {
    this.#verbs = verbs;
    this.#identity = identity;
    this.#tasks = tasks;
  }

  /**
   * Throws what the plan has against it (the first), what `find` and `check` of Identity throw, PVE's refusals, and `outcome_unknown` when the
   * answer to the one request was lost. One change of a guest at a time.
   */
  async run(change: GuestChange, call: Call, options: ChangeOptions): Promise<Changed<Identified>> {
    const { reference, kind, state } = change;
    const found = await this.#identity.find(reference, kind, call);
    return this.#exclusive.run(found.row.vmid, async () => {
      // First, so that what is read next is not from before the end of what we believe to run.
      await this.#tasks.look(tags.guest(found.row), call);
      const guest = await this.#identity.check(found, reference, call, { state });
      this.#compare(guest);
      const plan = this.#undisturbed(guest, await change.plan(guest));
      if (options.dryRun) return { guest, changed: false, plan };
      if (plan.join) return { guest, changed: true, plan, task: plan.join };
      if (plan.against[0]) throw plan.against[0];
      if (!plan.request) return { guest, changed: false, plan };
      await options.confirm?.(guest);
      if (plan.synchronous) {
        await this.deliver(plan.request, plan, call);
        return { guest, changed: true, plan };
      }
      return { guest, changed: true, plan, task: await this.send(plan.request, plan, call) };
    });
  }

  /** A row that says another state than the host lags: until it has caught up, reads ask the host as well. */
  #compare({ type, vmid, row, status }: Identified): void {
    if (status === undefined || status.status === row.status) return;
    this.#tasks.settling(tags.guest({ type, vmid }), this.#verbs.clock.now() + rowSettlesMs);
  }

  /** What we are about to change is not changed by a task of ours that still works on it. */
  #undisturbed(guest: Identified, plan: Plan): Plan {
    const upid = this.#tasks.runningBut(tags.guest(guest), plan.beside ?? []);
    if (plan.join || upid === undefined) return plan;
    return { ...plan, against: [workedOn(guest, upid), ...plan.against] };
  }

  /** Sends once, and follows the task that PVE answers with. */
  async send(
    request: ChangeRequest,
    plan: Pick<Plan, "touches" | "follow">,
    call: Call,
  ): Promise<Task> {
    const answer = await this.deliver(request, plan, call);
    return this.#tasks.follow(answer, { touches: plan.touches, ...plan.follow });
  }

  /** Sends once; resolves to PVE's answer. */
  async deliver(request: ChangeRequest, { touches }: Pick<Plan, "touches">, call: Call) {
    try {
      return await this.#verbs.change(call, request, touches);
    } catch (error) {
      // Done, perhaps, or refused against all that we know: either way the rows are to be asked again.
      await this.#verbs.cache.invalidate(rowsOf(touches));
      if (isProblem(error, "outcome_unknown")) this.#tasks.doubt(touches);
      throw error;
    }
  }
}

/** A lock in the configuration forbids nearly everything. PVE: AbstractConfig.pm, check_lock */
export function lockedBy(guest: Identified, ...allowed: readonly string[]): readonly Problem[] {
  const { lock } = guest.config;
  if (lock === undefined || allowed.includes(lock)) return [];
  const subject = `${guestWords(guest, guest.name)} on ${guest.node}`;
  return [
    new Problem("locked", `${subject} is locked (${lock}): an operation on it is under way.`, {
      next: `See what runs with get_tasks {guest: "${guest.vmid}"} and try again when it has ended; if nothing runs, the lock is left over and only an administrator on the host can remove it (${guest.type === "qemu" ? "qm" : "pct"} unlock ${guest.vmid}).`,
      facts: { vmid: guest.vmid, type: guest.type, node: guest.node, lock },
    }),
  ];
}

function workedOn(guest: Identified, upid: string): Problem {
  const type = parseUpid(upid)?.type ?? "task";
  const { vmid, node } = guest;
  const who = `${guestWords(guest, guest.name)} on ${node}`;
  return new Problem("busy", `An earlier change of ${who} is still under way (${type}).`, {
    next: `Wait for it with get_tasks {upid: "${upid}", wait_s: 60}, then try again.`,
    facts: { vmid, type: guest.type, node, upid },
  });
}

export function conflict(guest: Identified, what: string, next: string): Problem {
  const facts = { vmid: guest.vmid, type: guest.type, node: guest.node };
  return new Problem("conflict", `${guestWords(guest, guest.name)} on ${guest.node} ${what}.`, {
    next,
    facts,
  });
}
