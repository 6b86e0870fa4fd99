import { LRUCache } from "lru-cache";
import type { Tag } from "../../cache/store.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { given, number, parseUpid } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { Activity } from "./activity.ts";
import {
  endedLog,
  type FollowOptions,
  identity,
  isOver,
  known,
  logQuestion,
  lost,
  type SettleOptions,
  statusQuestion,
  succeeded,
  type Task,
  type TaskReport,
} from "./task.ts";
import { Watched } from "./watched.ts";

/** Pause before each look, in ms; the last one repeats. Short tasks are seen ended soon, long ones cost little. */
const pausesMs = [300, 500, 800, 1_200, 2_000, 3_000, 5_000];
/** A host that cannot be asked for this many looks in a row (about 10 minutes) has lost the task for us. */
const maxFailures = 120;
/** PVE may not find a task for a moment after it has answered its UPID. */
const maxMissing = 10;
const tailLines = 20;

interface Own extends Task {
  readonly watched: Watched;
}

/** Follows tasks. PVE: GET /nodes/{node}/tasks/{upid}/status and /log */
export class Tasks {
  readonly #verbs: Verbs;
  readonly #activity: Activity;
  readonly #own = new Map<string, Own>();
  /** A stopped task never changes again. */
  readonly #ended = new LRUCache<string, TaskReport>({ max: 500 });

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
    this.#activity = new Activity(() => verbs.clock.now());
  }

  /** Follows the task that PVE has answered with. Throws `upstream` where the answer is no UPID. */
  follow(answer: unknown, options: FollowOptions): Task {
    const upid = typeof answer === "string" ? parseUpid(answer) : undefined;
    if (!upid) {
      throw new Problem("upstream", "Proxmox accepted the request but named no task.", {
        next: "Check the outcome with get_tasks.",
      });
    }
    const watched = new Watched(upid);
    const end = this.#watch(watched, options);
    const task: Own = {
      upid: upid.upid,
      watched,
      settle: (wait) => this.#settle(watched, end, wait),
    };
    this.#own.set(upid.upid, task);
    const forget = () => this.#own.delete(upid.upid);
    end.then(forget, forget); // whoever waits gets the rejection from settle; nobody may be waiting
    return task;
  }

  /** Whether a task that touches this runs or ended less than `ms` ago: then rows lag behind. */
  isActive(tag: Tag, ms: number): boolean {
    return this.#activity.isActive(tag, ms);
  }

  /** A change of ours may be under way, but its answer was lost: for a while rows are not believed. */
  doubt(touches: readonly Tag[]): void {
    this.#activity.doubt(touches);
  }

  /** Something of others' works on this, or has just ended, or its row is seen to lag: until then (in ms) rows are not believed. */
  settling(tag: Tag, until: number): void {
    this.#activity.settling(tag, until);
  }

  /** The UPID of a task of ours, of one of these types if some are given, that touches this and still runs. */
  running(tag: Tag, ...types: readonly string[]): string | undefined {
    return this.#activity.running(tag, ...types)[0];
  }

  /** The UPID of a task of ours that touches this and still runs, of any type but these. */
  runningBut(tag: Tag, types: readonly string[]): string | undefined {
    return this.#activity.running(tag).find((upid) => !types.includes(parseUpid(upid)?.type ?? ""));
  }

  /** A task of ours that runs, or whose consequences are still being dealt with. */
  own(upid: string): Task | undefined {
    return this.#own.get(upid);
  }

  /** Whether any task of ours of one of these types runs. */
  anyRunning(...types: readonly string[]): boolean {
    return [...this.#own.keys()].some((upid) => types.includes(parseUpid(upid)?.type ?? ""));
  }

  /** The same, as something to wait for. */
  runningTask(tag: Tag, ...types: readonly string[]): Task | undefined {
    const upid = this.running(tag, ...types);
    return upid === undefined ? undefined : this.#own.get(upid);
  }

  /** Looks now at the tasks of ours that touch this, so that one that has ended is known to have ended: a request for each. */
  async look(tag: Tag, call: Call): Promise<void> {
    const upids = this.#activity.running(tag);
    await Promise.all(upids.map((upid) => this.#own.get(upid)?.watched.look(call)));
  }

  /** A task's state now; `not_found` where PVE does not know it. */
  async report(upid: string, call: Call): Promise<TaskReport> {
    const kept = this.#ended.get(upid);
    if (kept) return kept;
    const report = await this.#verbs.observe(call, statusQuestion(known(upid)));
    if (isOver(report)) this.#ended.set(upid, report);
    return report;
  }

  /** Waits for any task, ours or not; answers `running` when the time runs out. Looks only while it waits. */
  async wait(upid: string, options: SettleOptions & { readonly call: Call }): Promise<TaskReport> {
    const own = this.#own.get(upid);
    if (own) return own.settle(options);
    const { clock } = this.#verbs;
    const until = clock.now() + options.timeoutMs;
    for (let look = 0; ; look++) {
      const report = await this.report(upid, options.call);
      const left = until - clock.now();
      if (report.state !== "running" || left <= 0) return report;
      await clock.sleep(Math.min(pause(look), left), { signal: options.call.signal });
    }
  }

  /** The last `lines` lines of a task's log: two requests, none again for a task whose end was seen before. */
  async log(upid: string, lines: number, call: Call): Promise<readonly string[]> {
    const parsed = known(upid);
    const ended = this.#ended.has(upid);
    const read = (start: number, limit: number) =>
      ended
        ? this.#verbs.observe(call, logQuestion(parsed, start, limit, endedLog))
        : this.#verbs.live(call, logQuestion(parsed, start, limit));
    const first = await read(0, 1);
    const start = Math.max(0, first.total - lines);
    return (await read(start, lines)).lines;
  }

  async #settle(
    watched: Watched,
    end: Promise<TaskReport>,
    wait: SettleOptions,
  ): Promise<TaskReport> {
    const stop = new AbortController();
    const giveUp = () => stop.abort();
    wait.signal?.addEventListener("abort", giveUp, { once: true });
    if (wait.signal?.aborted) giveUp();
    const leave = watched.enter({ call: wait.call, onProgress: wait.onProgress });
    const running = () => stillRunning(watched);
    const timeout = this.#verbs.clock.sleep(wait.timeoutMs, { signal: stop.signal });
    try {
      return await Promise.race([end, timeout.then(running, running)]);
    } finally {
      stop.abort();
      wait.signal?.removeEventListener("abort", giveUp);
      leave();
    }
  }

  async #watch(watched: Watched, options: FollowOptions): Promise<TaskReport> {
    const { upid } = watched.upid;
    this.#activity.begin(upid, options.touches);
    const { cache } = this.#verbs;
    try {
      const report = await this.#end(watched).finally(() => cache.invalidate(options.touches));
      await cache.invalidate(options.onEnd?.(report) ?? []);
      const next = succeeded(report) ? options.followUp : options.recover;
      if (!next || report.state === "unknown") return report;
      watched.ended();
      return await next(report, watched.caller);
    } finally {
      this.#activity.finish(upid, options.touches);
      watched.ended();
    }
  }

  /** Looks until the task has ended. */
  async #end(watched: Watched): Promise<TaskReport> {
    let failures = 0;
    let missing = 0;
    for (let look = 0; ; look++) {
      await watched.pause(this.#verbs.clock, pause(look));
      try {
        const report = await this.#verbs.live(watched.caller, statusQuestion(watched.upid));
        watched.trouble = undefined;
        if (report.state !== "running") return await this.#conclude(watched, report);
        failures = 0;
        if (watched.isFollowed) await this.#progress(watched);
      } catch (error) {
        if (!isProblem(error)) throw error;
        watched.trouble = error;
        if (error.kind === "not_found") missing++;
        if (missing > maxMissing || ++failures > maxFailures) return lost(watched.upid, error);
      }
      watched.looked();
    }
  }

  /** Where its last line was not written yet, one more look tells the truth. */
  async #conclude(watched: Watched, report: TaskReport): Promise<TaskReport> {
    const { caller } = watched;
    let last = report;
    if (!isOver(report)) {
      await this.#verbs.clock.sleep(1_000, { background: true });
      last = await this.#verbs.live(caller, statusQuestion(watched.upid));
    }
    if (isOver(last)) this.#ended.set(last.upid, last);
    return last.state === "ok" ? last : this.#withLog(last, caller);
  }

  async #withLog(report: TaskReport, call: Call): Promise<TaskReport> {
    const lines = await this.log(report.upid, report.state === "failed" ? tailLines : 200, call);
    const log = report.state === "warnings" ? lines.filter((line) => /^WARN/i.test(line)) : lines;
    return log.length === 0 ? report : { ...report, log };
  }

  async #progress(watched: Watched): Promise<void> {
    const question = logQuestion(watched.upid, watched.seenLines, 100);
    const { lines } = await this.#verbs.live(watched.caller, question);
    if (lines.length === 0 || (lines.length === 1 && lines[0] === "no content")) return;
    watched.seenLines += lines.length;
    const message = lines.at(-1) ?? "";
    const percent = /\(([0-9]+(?:\.[0-9]+)?)%\)|([0-9]+(?:\.[0-9]+)?)%/.exec(message);
    const value = number(percent?.[1] ?? percent?.[2]);
    watched.tell({ message, ...given({ done: value === undefined ? undefined : value / 100 }) });
  }
}

/** As far as the last look knows; with the reason why it could not be looked at. */
function stillRunning({ upid, trouble }: Watched): TaskReport {
  return { ...identity(upid), state: "running", ...(trouble && { trouble }) };
}

function pause(look: number): number {
  return pausesMs[Math.min(look, pausesMs.length - 1)] ?? 5_000;
}
