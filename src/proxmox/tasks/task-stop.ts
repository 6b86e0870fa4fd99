import type { Tag } from "../../cache/store.ts";
import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { rowsOf, tags } from "../api/freshness.ts";
import type { Upid } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Plan } from "./plan.ts";
import { known, type TaskReport } from "./task.ts";
import type { Tasks } from "./tasks.ts";

export interface StopOptions {
  readonly dryRun?: boolean | undefined;
  /** How long its end is waited for, in ms. */
  readonly timeoutMs: number;
}

/** What came of stopping a task. */
export interface TaskStop {
  readonly report: TaskReport;
  /** The request was sent; false for a task that had ended before. */
  readonly changed: boolean;
  readonly plan: Plan;
  /** What it may have left half done, as one sentence. */
  readonly leaves: string;
}

/** Ends tasks. PVE: DELETE /nodes/{node}/tasks/{upid}: SIGTERM to the worker, SIGKILL after 5 s */
export class TaskStops {
  readonly #verbs: Verbs;
  readonly #tasks: Tasks;

  constructor(verbs: Verbs, tasks: Tasks) {
    this.#verbs = verbs;
    this.#tasks = tasks;
  }

  /** Throws `invalid_input` for what is no UPID, `not_found` for a task that PVE does not know, `forbidden` for other people's. */
  async stop(upid: string, options: StopOptions, call: Call): Promise<TaskStop> {
    const parsed = known(upid);
    const before = await this.#tasks.report(upid, call);
    const plan = planOf(parsed);
    const leaves = leftBehind(parsed.type);
    if (before.state !== "running") {
      const says = `finds the task ended (${before.exitstatus})`;
      return { report: before, changed: false, plan: { says, against: [], touches: [] }, leaves };
    }
    if (options.dryRun) return { report: before, changed: false, plan, leaves };
    await this.#send(plan, parsed, call);
    try {
      const { timeoutMs } = options;
      const { signal, progress: onProgress } = call;
      const report = await this.#tasks.wait(upid, { timeoutMs, signal, onProgress, call });
      return { report, changed: true, plan, leaves };
    } finally {
      await this.#verbs.cache.invalidate(plan.touches);
    }
  }

  async #send({ request, touches }: Plan, { upid, type, node }: Upid, call: Call): Promise<void> {
    if (!request) throw new TypeError("a stop is planned with its request");
    try {
      await this.#verbs.change(call, request, touches);
    } catch (error) {
      if (!isProblem(error, "outcome_unknown")) throw error;
      throw new Problem("outcome_unknown", error.message, {
        next: `See with get_tasks {upid: "${upid}"} whether it still runs; stopping it once more does no harm.`,
        facts: { ...error.facts, upid, type, node },
        cause: error,
      });
    }
  }
}

function planOf({ upid, type, node, id }: Upid): Plan {
  const of = id === undefined ? "" : ` of ${id}`;
  const touched = guestTags(id);
  const rows = touched.length > 0 ? rowsOf(touched) : [tags.inventory];
  return {
    says: `stops task ${type}${of} on ${node}`,
    against: [],
    touches: [tags.tasks, tags.anyContent, ...touched, ...rows],
    request: { method: "DELETE", path: path`/nodes/${node}/tasks/${upid}` },
  };
}

/** The id is mostly a vmid, and does not say of which kind. */
function guestTags(id: string | undefined): readonly Tag[] {
  const vmid = Number(/^[0-9]{3,9}/.exec(id ?? "")?.[0] ?? Number.NaN);
  if (Number.isNaN(vmid)) return [];
  return (["qemu", "lxc"] as const).map((type) => tags.guest({ type, vmid }));
}

/** The first that fits the type of the task counts. */
const leavings: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:qm|vz)restore$/,
    "A guest that it was to write over is still there, but its old disks and snapshots may be gone: repeat the restore. A new guest may be there half made, under no name: look with list_guests, and delete only that.",
  ],
  [
    /^(?:qm|vz)(?:create|clone)$/,
    "The new guest may be there half made, locked, with some of its disks: look with list_guests, and delete it.",
  ],
  [
    /^(?:qm|vz)destroy$/,
    "Some of its disks may be gone already, though it is still listed: delete it again.",
  ],
  [
    /migrate/,
    "The guest should be where it was; copies of its disks may be left on the target, and its lock (migrate) on the guest.",
  ],
  [
    /^vzdump$/,
    "The unfinished archive is removed by Proxmox; the guest may keep its lock (backup), and a container stay suspended.",
  ],
  [
    /^(?:qmmove|move_volume)$/,
    "The guest keeps its old disk; what was copied of the new one may be left on the storage.",
  ],
  [
    /snapshot$|rollback$/,
    "The guest may be locked, with a snapshot half made, half removed or half restored: look with get_vm or get_container.",
  ],
  [/^(?:download|imgcopy|ociregistrypull)$/, "No file should be there, or a part of it at most."],
  [
    /^(?:qm|vz)(?:start|stop|shutdown|reboot|suspend|resume)$/,
    "The guest may be in its old state, in the new one or on its way: look with get_vm or get_container.",
  ],
  [
    /^(?:qm|vz)template$|^resize$|^qmconfig$/,
    "Some of the change may be made: compare the config.",
  ],
];

function leftBehind(type: string): string {
  return leavings.find(([pattern]) => pattern.test(type))?.[1] ?? "What it had done stays done.";
}
