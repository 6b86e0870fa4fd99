import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { ChangeRequest } from "../api/verbs.ts";
import type { Changes } from "../guests/changes.ts";
import { type FollowUp, succeeded, type Task, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Destination, fileKey } from "./volumes.ts";

/** What follows a fetch: `next` its good end, `otherwise` any other. */
export interface Afterwards {
  readonly next?: FollowUp;
  readonly otherwise?: () => void;
}

/** A file that has to be fetched before a guest can be made. */
export interface Fetch {
  /** `lets pve1 download … as …` */
  readonly says: string;
  /** As it may be shown. */
  readonly request: ChangeRequest;
  begin(after: Afterwards, call: Call): Promise<Task>;
}

/** A file on its way to a storage, and what fetches it. */
export interface Errand extends Destination {
  readonly request: ChangeRequest;
}

/** Files that are on their way: PVE would let a second fetch of the same overwrite the first. */
export class Fetches {
  readonly #changes: Changes;
  readonly #tasks: Tasks;
  readonly #running = new Map<string, { upid: string; readonly begun: Promise<Task> }>();

  constructor(changes: Changes, tasks: Tasks) {
    this.#changes = changes;
    this.#tasks = tasks;
  }

  /** The UPID of the task of ours that fetches this; empty while it is being begun. */
  running(errand: Omit<Destination, "storage">): string | undefined {
    return this.#running.get(fileKey(errand))?.upid;
  }

  /** Sends it once and follows it. */
  async begin(errand: Errand, after: Afterwards, call: Call): Promise<Task> {
    const key = fileKey(errand);
    const over = () => void this.#running.delete(key);
    const plan = { touches: touchesOf(errand), follow: followOf(after, over) };
    const begun = this.#changes.send(errand.request, plan, call);
    const entry = { upid: "", begun };
    this.#running.set(key, entry);
    try {
      const task = await begun;
      entry.upid = task.upid;
      return task;
    } catch (error) {
      over();
      throw error;
    }
  }

  /** Begins it, or follows the task of ours that fetches it already. */
  async share(errand: Errand, after: Afterwards, call: Call): Promise<Task> {
    const running = this.#running.get(fileKey(errand));
    if (!running) return this.begin(errand, after, call);
    const { upid } = await running.begun;
    return this.join(upid, errand, after);
  }

  /** Follows a fetch that is under way, be it ours or not. */
  join(upid: string, errand: Destination, after: Afterwards): Task {
    return this.#tasks.follow(upid, { touches: touchesOf(errand), ...followOf(after) });
  }
}

function touchesOf({ storage }: Pick<Errand, "storage">): readonly string[] {
  return [tags.storageContent(storage), tags.tasks];
}

function followOf({ next, otherwise }: Afterwards, over = () => {}) {
  const onEnd = (report: TaskReport) => {
    over();
    if (!succeeded(report)) otherwise?.();
    return undefined;
  };
  return { onEnd, ...(next && { followUp: next }) };
}
