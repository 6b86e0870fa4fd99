import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Changed, type ChangeOptions, type Changes, conflict, lockedBy } from "./changes.ts";
import { statusQuestion } from "./guest-status.ts";
import type { Identified } from "./identity.ts";

export type RestartMode = "reboot" | "reset";

export interface RestartOptions extends ChangeOptions {
  readonly mode: RestartMode;
}

/** How long a VM may take to come up again after its reboot task has ended, and how often that is looked at. */
const comebackMs = 30_000;
const lookMs = 1_000;

/** Restarting guests. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/status/{reboot|reset} */
export class Restarts {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #tasks: Tasks;

  constructor(verbs: Verbs, lookup: Lookup, changes: Changes, tasks: Tasks) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#changes = changes;
    this.#tasks = tasks;
  }

  /**
   * Shuts a running guest down and starts it again, so that pending changes take effect; or resets a VM as its button does. The
   * task has settled when it runs again. `conflict` for a guest that does not run, `invalid_input` for a container's reset, `locked`.
   */
  restart(reference: string, call: Call, options: RestartOptions): Promise<Changed<Identified>> {
    const plan = (guest: Identified) => this.#plan(guest, options.mode);
    const { dryRun } = options;
    return this.#changes.run({ reference, kind: "any", state: true, plan }, call, { dryRun });
  }

  #plan(guest: Identified, mode: RestartMode): Plan {
    if (guest.type === "lxc" && mode === "reset") throw noReset(guest);
    const reboot = mode === "reboot";
    const follow = {
      followUp: (report: TaskReport, call: Call) => this.#comeBack(guest, report, call),
    };
    return {
      says: `${reboot ? "shuts down and starts again" : "resets, like its button,"} ${words(guest)}`,
      against: [...lockedBy(guest), ...notRunning(guest, mode)],
      touches: [tags.guest(guest), tags.tasks],
      join: reboot ? this.#tasks.runningTask(tags.guest(guest), "qmreboot", "vzreboot") : undefined,
      request: {
        method: "POST",
        path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/status/${mode}`,
      },
      ...(reboot && { follow }),
    };
  }

  /** A VM's task ends when it is down; its host starts it again a moment later. PVE: QemuServer.pm vm_reboot */
  async #comeBack(guest: Identified, report: TaskReport, call: Call): Promise<TaskReport> {
    const before = guest.status?.uptimeS ?? Number.POSITIVE_INFINITY;
    const until = this.#verbs.clock.now() + comebackMs;
    while (succeeded(report)) {
      const now = await this.#state(guest, call);
      if (now?.status === "running" && (now.uptimeS ?? 0) <= before) {
        // Its pending options have taken effect with its start, after the end of the task.
        await this.#verbs.cache.invalidate([tags.guest(guest)]);
        this.#lookup.overlay.set(guest, { status: "running" });
        return report;
      }
      if (this.#verbs.clock.now() >= until) break;
      await this.#verbs.clock.sleep(lookMs, { background: true });
    }
    const remark = `It has gone down and was not up again ${comebackMs / 1000} s later; start it with start_guest.`;
    return { ...report, remarks: [remark], unstarted: true };
  }

  async #state(guest: Identified, call: Call) {
    try {
      return await this.#verbs.live(call, statusQuestion(guest));
    } catch (error) {
      if (isProblem(error)) return undefined;
      throw error;
    }
  }
}

/** PVE: Qemu.pm vm_reboot, vm_reset; LXC/Status.pm vm_reboot */
function notRunning(guest: Identified, mode: RestartMode): readonly Problem[] {
  const status = guest.status?.status ?? "unknown";
  if (status === "running" || (status !== "stopped" && mode === "reset")) return [];
  const reference = `"${guest.vmid}"`;
  if (status === "paused") {
    const next = `Resume it with start_guest {guest: ${reference}}, or reset it: restart_guest {guest: ${reference}, mode: "reset"}.`;
    return [conflict(guest, "is paused and can't shut down", next)];
  }
  const next = guest.config.template
    ? "Templates never run; make a guest of it with clone_vm or clone_container."
    : `Start it: start_guest {guest: ${reference}}.`;
  return [conflict(guest, `is ${status}, so there is nothing to restart`, next)];
}

function noReset(guest: Identified): Problem {
  return new Problem("invalid_input", `Only VMs are reset; ${words(guest)} is a container.`, {
    next: "Leave mode out: it is rebooted.",
    facts: { argument: "mode", vmid: guest.vmid, type: guest.type, node: guest.node },
  });
}

function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}
