import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { GuestId } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { isStale } from "../config/update-refusals.ts";
import { start } from "../creation/blueprint.ts";
import { succeeded, type Task, type TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type Settings, type Setup, setupOf, setupRequest } from "./clone-setup.ts";

/** The new guest. */
export interface Clone extends GuestId {
  readonly node: string;
  readonly name: string;
}

interface Wish extends Settings {
  readonly start?: boolean | undefined;
}

interface Parts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly tasks: Tasks;
}

const startWaitMs = 10 * 60_000;

/** What follows when a clone is ready, whether or not anybody waits. */
export class CloneFinish {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #tasks: Tasks;
  readonly #managedTag: string;

  constructor({ verbs, lookup, tasks }: Parts, managedTag: string) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#tasks = tasks;
    this.#managedTag = managedTag;
  }

  /** The clone is there: tag it as ours, then start it. Neither failing makes the clone fail. */
  async finish(report: TaskReport, guest: Clone, wish: Wish, call: Call): Promise<TaskReport> {
    // Its row goes on under the name that Proxmox invents meanwhile (`VM 310`) until the next round.
    this.#lookup.names.learn(guest, guest.name);
    const remarks: string[] = [];
    const setup = setupOf(wish);
    const what = setup.wanted ? "set up" : `tagged ${this.#managedTag}`;
    await attempt(remarks, `It could not be ${what}`, () => this.#setUp(guest, setup, call));
    const before = remarks.length;
    // A first start without what cloud-init was to tell cannot be taken back.
    const fit = before === 0 || !setup.wanted;
    if (wish.start && !fit) remarks.push("It was not started for that reason.");
    if (wish.start && fit) {
      await attempt(remarks, "It could not be started", async () => {
        const started = await (await this.#start(guest, call)).settle({ timeoutMs: startWaitMs });
        if (started.state === "failed") throw new Problem("task_failed", started.exitstatus ?? "");
      });
    }
    const unstarted = remarks.length > before ? { unstarted: true as const } : {};
    return remarks.length === 0 ? report : { ...report, remarks, ...unstarted };
  }

  /** With the digest of what was read; where somebody else was faster, once more upon what is there now. */
  async #setUp(guest: Clone, setup: Setup, call: Call, again = true): Promise<void> {
    const config = await this.#verbs.live(call, configQuestion(guest));
    const request = setupRequest(guest, config, setup, this.#managedTag);
    try {
      if (request) await this.#verbs.change(call, request, [tags.guest(guest), tags.row(guest)]);
    } catch (error) {
      if (!again || !isProblem(error) || !isStale(error)) throw error;
      await this.#setUp(guest, setup, call, false);
    }
  }

  async #start(guest: Clone, call: Call): Promise<Task> {
    const touches = [tags.guest(guest), tags.tasks];
    const answer = await this.#verbs.change(call, start.request(guest), touches);
    return this.#tasks.follow(answer, {
      touches,
      onEnd: (report) => {
        if (succeeded(report)) this.#lookup.overlay.set(guest, { status: "running" });
        return [];
      },
    });
  }
}

/** What fails becomes a remark. */
export async function attempt(
  remarks: string[],
  what: string,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isProblem(error)) throw error;
    remarks.push(`${what}: ${error.message}`);
  }
}
