import { path } from "../../http/path.ts";
import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { parseUpid, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import {
  type Changed,
  type ChangeOptions,
  type Changes,
  conflict,
  lockedBy,
} from "../guests/changes.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import type { Identified } from "../guests/identity.ts";
import type { Plan } from "../tasks/plan.ts";
import type { Task } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { words } from "./guest-disks.ts";

/** Making templates of guests. PVE: POST /nodes/{node}/{qemu|lxc}/{vmid}/template */
export class TemplateConversion {
  readonly #verbs: Verbs;
  readonly #changes: Changes;
  readonly #tasks: Tasks;

  constructor(verbs: Verbs, changes: Changes, tasks: Tasks) {
    this.#verbs = verbs;
    this.#changes = changes;
    this.#tasks = tasks;
  }

  /** Makes a template of a stopped guest, for good; one that is a template is left alone. `conflict` while it runs or has snapshots. */
  async convert(
    reference: string,
    call: Call,
    options: ChangeOptions,
  ): Promise<Changed<Identified>> {
    const plan = (guest: Identified) => this.#plan(guest, call);
    const change = { reference, kind: "any" as const, state: true, plan };
    const changed = await this.#changes.run(change, call, options);
    if (!changed.changed || changed.task) return changed;
    const task = await this.#begun(changed, call);
    return { ...changed, ...(task && { task }) };
  }

  async #plan(guest: Identified, call: Call): Promise<Plan> {
    const { type, node, vmid, config, status } = guest;
    const says = `makes ${words(guest)} a template, which is never an ordinary guest again`;
    if (config.template) return { says, against: [], touches: [] };
    const snapshots = records(await this.#verbs.live(call, snapshotsQuestion(guest)));
    const names = snapshots.flatMap((snapshot) => text(snapshot["name"]) ?? []);
    const runs = status !== undefined && status.status !== "stopped";
    const reference = `guest: "${vmid}"`;
    return {
      says,
      against: [
        ...lockedBy(guest),
        ...(runs
          ? [conflict(guest, `is ${status.status}`, `Stop it first: stop_guest {${reference}}.`)]
          : []),
        ...(names.length > 0
          ? [
              conflict(
                guest,
                `has snapshots (${names.slice(0, 5).join(", ")}), and templates have none`,
                `Delete them first: delete_snapshot {${reference}, name: "${names[0]}"}.`,
              ),
            ]
          : []),
      ],
      touches: touchesOf(guest),
      // A container's request is answered without its task.
      synchronous: type === "lxc",
      request: { method: "POST", path: path`/nodes/${node}/${type}/${vmid}/template` },
    };
  }

  /** The task that converts the volumes of a container: PVE forks it and does not name it. The container is a template already. */
  async #begun({ guest }: Changed<Identified>, call: Call): Promise<Task | undefined> {
    try {
      const upid = await this.#verbs.live(call, conversionsQuestion(guest));
      if (upid === undefined) return undefined;
      return this.#tasks.follow(upid, { touches: touchesOf(guest) });
    } catch (error) {
      if (isProblem(error)) return undefined;
      throw error;
    }
  }
}

/** Its volumes get other names, and its row another flag. */
function touchesOf(guest: Identified) {
  return [tags.guest(guest), tags.row(guest), tags.tasks, tags.anyContent];
}

/** PVE: GET /nodes/{node}/tasks: the newest conversion of this container. */
function conversionsQuestion({ node, vmid }: Identified): Question<string | undefined> {
  return {
    path: path`/nodes/${node}/tasks`,
    params: { source: "all", typefilter: "vztemplate", vmid, limit: 1 },
    freshness: fresh("never"),
    parse: (data) => {
      const upid = text(records(data)[0]?.["upid"]);
      return upid !== undefined && parseUpid(upid) ? upid : undefined;
    },
  };
}
