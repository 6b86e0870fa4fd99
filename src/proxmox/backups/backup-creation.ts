import { outcome } from "../../each.ts";
import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import { guestWords } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { type Changed, type ChangeOptions, type Changes, lockedBy } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import type { Plan } from "../tasks/plan.ts";
import { known, logQuestion, type Task, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { notesTemplate } from "./backup-notes.ts";

export interface BackupOptions extends ChangeOptions {
  /** Left out where one storage alone may hold backups. */
  readonly storage?: string | undefined;
  readonly mode: "snapshot" | "suspend" | "stop";
  /** May hold `{{guestname}}`, `{{vmid}}`, `{{node}}`, `{{cluster}}`. */
  readonly notes?: string | undefined;
  readonly protect?: boolean | undefined;
}

export interface BackupOutcome extends Changed<Identified> {
  readonly storage: string;
  /** What is being made; its name is known when the task has ended. */
  readonly made: { readonly volid?: string };
}

/** A backup of ours under way. */
interface Making {
  readonly storage: string;
  /** How it is made: another call may only wait for what it would have made itself. */
  readonly how?: string;
  volid?: string;
}

/** The name of the archive stands among the first lines of a log. */
const headLines = 100;

/** Backing guests up. PVE: POST /nodes/{node}/vzdump */
export class BackupCreation {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #storages: Storages;
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  /** By UPID, while they run. */
  readonly #running = new Map<string, Making>();

  constructor(base: {
    readonly verbs: Verbs;
    readonly lookup: Lookup;
    readonly storages: Storages;
    readonly changes: Changes;
    readonly tasks: Tasks;
  }) {
    this.#verbs = base.verbs;
    this.#lookup = base.lookup;
    this.#storages = base.storages;
    this.#changes = base.changes;
    this.#tasks = base.tasks;
  }

  /**
   * Backs one guest up. Throws `invalid_input` for notes that Proxmox does not take and where several storages may hold it and none is named, `conflict` where the named one
   * may not, `locked`, `busy`. A backup of ours of this guest that still runs and is the same in all is waited for.
   */
  async create(reference: string, call: Call, options: BackupOptions): Promise<BackupOutcome> {
    const notes = notesTemplate(options.notes ?? "{{guestname}}");
    let made: Making = { storage: "" };
    const plan = async (guest: Identified): Promise<Plan> => {
      const { mode, protect = false } = options;
      const how = JSON.stringify([mode, notes, protect]);
      made = { storage: await this.#storageFor(guest, options.storage, call), how };
      return this.#plan(guest, made, { ...options, notes });
    };
    const change = { reference, kind: "any" as const, state: true, plan };
    const changed = await this.#changes.run(change, call, options);
    if (changed.task) {
      const { upid } = changed.task;
      made = this.#running.get(upid) ?? made;
      this.#running.set(upid, made);
    }
    return { ...changed, storage: made.storage, made };
  }

  #plan(guest: Identified, made: Making, { mode, notes, protect }: BackupOptions): Plan {
    const { storage } = made;
    const running = guest.status !== undefined && guest.status.status !== "stopped";
    const how = running && mode !== "snapshot" ? `, which ${interruption[mode]} it meanwhile` : "";
    return {
      says: `backs ${guestWords(guest, guest.name)} on ${guest.node} up to ${storage}${how}`,
      against: lockedBy(guest),
      join: this.#joinable(guest, made),
      touches: [tags.guest(guest), tags.tasks, tags.storageContent(storage), tags.anyContent],
      request: {
        method: "POST",
        path: path`/nodes/${guest.node}/vzdump`,
        params: {
          vmid: String(guest.vmid),
          storage,
          mode,
          compress: "zstd",
          "notes-template": notes,
          protected: protect || undefined,
        },
      },
      follow: {
        onEnd: ({ upid }) => {
          this.#running.delete(upid);
          return [];
        },
        followUp: (report, call) => this.#name(report, made, call),
      },
    };
  }

  #joinable(guest: Identified, { storage, how }: Making): Task | undefined {
    const task = this.#tasks.runningTask(tags.guest(guest), "vzdump");
    const other = task && this.#running.get(task.upid);
    return other?.storage === storage && other.how === how ? task : undefined;
  }

  /** The log names the archive; without it the backup is no less made. */
  async #name(report: TaskReport, made: Making, call: Call): Promise<TaskReport> {
    const head = await outcome(
      this.#verbs.live(call, logQuestion(known(report.upid), 0, headLines)),
    );
    const volid = head.ok ? madeIn(head.value.lines, made.storage) : undefined;
    if (volid !== undefined) made.volid = volid;
    return report;
  }

  /** The one named, if it may hold backups of this node; else the only one that may. */
  async #storageFor(guest: Identified, wished: string | undefined, call: Call): Promise<string> {
    const { node } = guest;
    if (wished !== undefined) {
      const { content } = await this.#storages.place(wished, node, call);
      if (content.includes("backup")) return wished;
      throw await this.#unfit(wished, node, call);
    }
    const fit = await this.#fit(node, call);
    const [only, ...others] = fit;
    if (only !== undefined && others.length === 0) return only;
    const several = `Backups of ${node} may go to ${fit.join(", ")}`;
    throw new Problem(
      "invalid_input",
      only === undefined ? `No storage of ${node} may hold backups.` : `${several}.`,
      {
        next:
          only === undefined
            ? "list_storage shows the storages and what they may hold."
            : "Name one of them as storage.",
        facts: { argument: "storage", node, storages: fit },
      },
    );
  }

  async #unfit(storage: string, node: string, call: Call): Promise<Problem> {
    const fit = await this.#fit(node, call);
    return new Problem("conflict", `Storage ${storage} may not hold backups. Nothing was sent.`, {
      next: fit.length === 0 ? "Use another one (list_storage)." : `Use ${fit.join(" or ")}.`,
      facts: { argument: "storage", storage, storages: fit },
    });
  }

  async #fit(node: string, call: Call): Promise<readonly string[]> {
    const { storages } = await this.#lookup.inventory(call);
    return storages
      .filter((row) => row.node === node && row.content.includes("backup"))
      .map((row) => row.storage)
      .sort();
  }
}

const interruption = { suspend: "suspends", stop: "stops and starts" };

/** PVE: VZDump.pm, exec_backup_task: `creating vzdump archive '/…/dump/vzdump-….zst'`, `creating Proxmox Backup Server archive '…'` */
function madeIn(lines: readonly string[], storage: string): string | undefined {
  for (const line of lines) {
    const [, file, snapshot] =
      /creating (?:vzdump archive '(?:[^']*\/)?([^'/]+)'|Proxmox Backup Server archive '([^']+)')/.exec(
        line,
      ) ?? [];
    const name = file ?? snapshot;
    if (name !== undefined) return `${storage}:backup/${name}`;
  }
  return undefined;
}
