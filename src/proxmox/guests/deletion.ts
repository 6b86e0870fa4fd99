import { ifAllowed } from "../../each.ts";
import { path } from "../../http/path.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, guestWords, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Plan } from "../tasks/plan.ts";
import { succeeded } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Changed, type ChangeOptions, type Changes, conflict, lockedBy } from "./changes.ts";
import type { Identified } from "./identity.ts";

export interface DeleteOptions extends ChangeOptions {
  /** Also removes the guest from backup jobs, replication and HA. */
  readonly purge: boolean;
}

interface BackupJob {
  readonly id: string;
  readonly vmids: readonly string[];
}

/** Destroying guests. PVE: DELETE /nodes/{node}/{qemu|lxc}/{vmid} */
export class Deletion {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #changes: Changes;
  readonly #tasks: Tasks;

  constructor(verbs: Verbs, lookup: Lookup, changes: Changes, tasks: Tasks) {
    this.#verbs = verbs;
    this.#tasks = tasks;
    this.#lookup = lookup;
    this.#changes = changes;
  }

  /** Destroys a stopped guest with its disks. `conflict` while it runs or is protected, `locked`. */
  delete(reference: string, call: Call, options: DeleteOptions): Promise<Changed<Identified>> {
    const plan = (guest: Identified) => this.#plan(guest, options.purge);
    return this.#changes.run({ reference, kind: "any", state: true, plan }, call, options);
  }

  /** Backup jobs that name this guest; undefined where these credentials may not see them. */
  async backupJobs(guest: Identified, call: Call): Promise<readonly string[] | undefined> {
    const jobs = await ifAllowed(this.#verbs.observe(call, backupJobsQuestion));
    return jobs?.filter((job) => job.vmids.includes(String(guest.vmid))).map((job) => job.id);
  }

  /** What is lost with a guest, and who still counts on it, line by line, for the question that is asked before. */
  async losses(guest: Identified, purge: boolean, call: Call): Promise<readonly string[]> {
    const disks = guest.config.disks.filter((disk) => disk.cdrom !== true && disk.volid !== "none");
    const jobs = await this.backupJobs(guest, call);
    return [
      ...disks.map((disk) => `disk ${disk.key}: ${disk.volid}`),
      ...(guest.config.template ? ["it is a template: linked clones need it"] : []),
      "its snapshots, firewall rules and permissions",
      ...(purge ? ["its place in backup, replication and HA jobs"] : []),
      ...(jobs ?? []).map((job) => `backup job ${job} still names it`),
    ];
  }

  #plan(guest: Identified, purge: boolean): Plan {
    const { config, status } = guest;
    const running = status !== undefined && status.status !== "stopped";
    const next = `Stop it first: stop_guest {guest: "${guest.name ?? guest.vmid}"}.`;
    const unprotect =
      "Protection is there on purpose: have the option `protection` taken off first.";
    const ha = "Repeat with purge: true to take it out of HA management too.";
    const against = [
      ...lockedBy(guest),
      ...(running
        ? [conflict(guest, `is ${status.status}, and only a stopped guest is deleted`, next)]
        : []),
      ...(config.protection ? [conflict(guest, "is protected against deletion", unprotect)] : []),
      ...(status?.haManaged && !purge ? [conflict(guest, "is managed by HA", ha)] : []),
    ];
    const id = { type: guest.type, vmid: guest.vmid };
    const plannedAt = this.#verbs.clock.now();
    return {
      says: `destroys ${guestWords(guest, guest.name)} on ${guest.node} with its disks`,
      against,
      // Asked for again while it runs: one request is enough, and both hear of its end.
      join: this.#tasks.runningTask(tags.guest(guest), "qmdestroy", "vzdestroy"),
      touches: [tags.guest(guest), tags.tasks, tags.anyContent, ...(purge ? [tags.jobs] : [])],
      request: {
        method: "DELETE",
        path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}`,
        params: { purge: purge || undefined },
      },
      follow: {
        onEnd: (report) => {
          if (!succeeded(report)) return [tags.row(id)];
          this.#lookup.buried(id, plannedAt);
          return [];
        },
      },
    };
  }
}

/** PVE: GET /cluster/backup */
const backupJobsQuestion: Question<readonly BackupJob[]> = {
  path: path`/cluster/backup`,
  freshness: fresh("jobs", tags.jobs),
  parse: (data) =>
    records(data)
      .filter((job) => flag(job["enabled"]) !== false)
      .map((job) => ({
        id: text(job["id"]) ?? "",
        vmids: (text(job["vmid"]) ?? "").split(",").filter((vmid) => vmid !== ""),
      })),
};
