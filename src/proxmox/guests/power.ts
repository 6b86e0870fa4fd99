import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { guestWords } from "../api/values.ts";
import type { ChangeRequest, Params } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Changed, type ChangeOptions, type Changes, conflict, lockedBy } from "./changes.ts";
import type { Identified } from "./identity.ts";

export type StopMode = "shutdown" | "stop" | "suspend";

export interface StopOptions extends ChangeOptions {
  readonly mode: StopMode;
  /** How long a shutdown may take, in seconds, before PVE gives up (its default is 60). */
  readonly timeoutS?: number | undefined;
}

/** Starting and stopping guests. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/status/{action} */
export class Power {
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  readonly #lookup: Lookup;

  constructor(changes: Changes, tasks: Tasks, lookup: Lookup) {
    this.#changes = changes;
    this.#lookup = lookup;
    this.#tasks = tasks;
  }

  /** Starts a stopped guest, resumes a paused VM; a running one is left alone. `conflict` for templates, `locked`. */
  start(reference: string, call: Call, options: ChangeOptions): Promise<Changed<Identified>> {
    return this.#run(reference, call, options, (guest) => ({
      ...startPlan(guest),
      follow: this.#leaves(guest, "running"),
      join: this.#tasks.runningTask(tags.guest(guest), "qmstart", "vzstart", "qmresume"),
    }));
  }

  /** Shuts down (default), stops at once, or suspends; a stopped guest, and one that HA has been told to stop, is left alone. */
  stop(reference: string, call: Call, options: StopOptions): Promise<Changed<Identified>> {
    return this.#run(reference, call, options, (guest) => this.#stopPlan(guest, options));
  }

  #run(
    reference: string,
    call: Call,
    options: ChangeOptions,
    plan: (guest: Identified) => Plan,
  ): Promise<Changed<Identified>> {
    return this.#changes.run({ reference, kind: "any", state: true, plan }, call, options);
  }

  #stopPlan(guest: Identified, { mode, timeoutS }: StopOptions): Plan {
    const status = guest.status?.status;
    const says = `${verbs[mode]} ${words(guest)}`;
    const done = status === "stopped" || (mode === "suspend" && status === "paused");
    const off = mode === "suspend" ? taskTypes.suspend : [...taskTypes.stop, ...taskTypes.shutdown];
    const join = this.#tasks.runningTask(tags.guest(guest), ...(done ? off : taskTypes[mode]));
    // HA does it when its turn comes. To pull the plug of what still shuts down is another wish, and sent.
    const told = mode === "shutdown" && guest.status?.haRequest === "stopped";
    if (done || told) return { says, against: [], touches: [], join };
    const against = [
      ...lockedBy(guest, ...(mode === "stop" ? ["backup"] : [])),
      ...cannotStop(guest, mode),
    ];
    const follow = this.#leaves(guest, mode === "suspend" ? "paused" : "stopped");
    const params = mode === "shutdown" ? { timeout: timeoutS } : this.#force(guest, mode);
    const request = action(guest, mode, params);
    const beside = mode === "stop" ? stoppable : [];
    return { says, against, join, beside, touches: touches(guest), request, follow };
  }

  /** Rows lag behind; until they have caught up, the state that the task has left is laid over them. HA only queues. */
  #leaves(guest: Identified, status: string): NonNullable<Plan["follow"]> {
    return {
      onEnd: (report) => {
        const clear = succeeded(report) && !report.type.startsWith("ha") && status !== "paused";
        if (clear) this.#lookup.overlay.set(guest, { status });
        return clear ? [] : [tags.row(guest)];
      },
    };
  }

  /** A shutdown of ours that still waits for its guest holds the lock that a stop needs; only then it may be overruled. */
  #force(guest: Identified, mode: StopMode): Params {
    const waiting = this.#tasks.running(tags.guest(guest), "qmshutdown", "vzshutdown");
    return mode === "stop" && waiting !== undefined ? { "overrule-shutdown": true } : {};
  }
}

const verbs: Readonly<Record<StopMode, string>> = {
  shutdown: "shuts down",
  stop: "stops at once, like pulling the plug,",
  suspend: "suspends",
};

const taskTypes: Readonly<Record<StopMode, readonly string[]>> = {
  shutdown: ["qmshutdown", "vzshutdown"],
  stop: ["qmstop", "vzstop"],
  suspend: ["qmpause", "vzsuspend"],
};

/** Tasks that a stop puts an end to, or that go on without the guest. */
const stoppable = ["qmshutdown", "vzshutdown", "vzdump"];

function startPlan(guest: Identified): Plan {
  const status = guest.status?.status;
  const says = `starts ${words(guest)}`;
  if (status !== "stopped" && status !== "paused" && status !== "suspended") {
    return { says, against: [], touches: [] };
  }
  const against = [...lockedBy(guest, "suspended"), ...template(guest)];
  const request = action(guest, status === "stopped" ? "start" : "resume", {});
  return { says, against, touches: touches(guest), request };
}

function template(guest: Identified) {
  if (!guest.config.template) return [];
  const tool = guest.type === "qemu" ? "clone_vm" : "clone_container";
  return [
    conflict(guest, "is a template and can't be started", `Make a guest of it with ${tool}.`),
  ];
}

/** PVE: QemuServer.pm vm_stop refuses to shut down what does not run its CPUs. */
function cannotStop(guest: Identified, mode: StopMode) {
  if (mode !== "shutdown" || guest.status?.status !== "paused") return [];
  const next = 'Resume it with start_guest, or stop it at once with stop_guest {mode: "stop"}.';
  return [conflict(guest, "is paused and can't shut down", next)];
}

function action(guest: Identified, name: string, params: Params): ChangeRequest {
  return {
    method: "POST",
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/status/${name}`,
    params,
  };
}

function touches(guest: Identified): readonly string[] {
  return [tags.guest(guest), tags.tasks];
}

function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}
