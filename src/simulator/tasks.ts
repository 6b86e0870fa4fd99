import type { ClusterLog } from "./cluster-log.ts";
import type { Events } from "./events.ts";
import { Refusal } from "./refusal.ts";
import type { Node } from "./world.ts";

/** A worker: yields the milliseconds until it goes on, returns when done, throws TaskFailure when it fails. */
export type Work = Generator<number, void, void>;

/** Ends a worker with `TASK ERROR: <message>`. */
export class TaskFailure extends Error {}

/** Thrown into a worker that somebody stops; a worker that does not catch it ends with `received interrupt`. */
export class Interrupted extends Error {}

export interface Task {
  readonly upid: string;
  readonly node: string;
  readonly pid: number;
  readonly pstart: number;
  /** Unix seconds. */
  readonly starttime: number;
  readonly type: string;
  readonly id: string;
  /** `user@realm` or `user@realm!token`. */
  readonly user: string;
  readonly lines: string[];
  /** Unix seconds; absent while it runs. */
  endtime?: number;
  exitstatus?: string;
}

/** What a worker can do besides changing the world. */
export interface TaskLog {
  print(line: string): void;
  /** A `WARN: …` line; makes the exit status `WARNINGS: n`. */
  warn(line: string): void;
  /** Appends to the last line, as Perl's `print " OK\n"` after a wait does. */
  append(text: string): void;
}

export interface Order {
  readonly node: string;
  readonly type: string;
  readonly id: string;
  readonly user: string;
  /** Milliseconds until the worker's first step; the answer is out before. */
  readonly delayMs?: number;
  work(log: TaskLog, upid: string): Work;
}

interface Running {
  readonly work: Work;
  readonly warnings: { count: number };
  /** Only the newest scheduled step counts; a stop outdates it. */
  step: number;
}

/** The index keeps about this many finished tasks per node (PVE::RESTEnvironment). */
const archiveSize = 2000;

/** All workers of the cluster: PVE::UPID, PVE::RESTEnvironment fork_worker. */
export class Tasks {
  readonly #events: Events;
  readonly #log: ClusterLog;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #now: () => number;
  readonly #tasks = new Map<string, Task>();
  readonly #running = new Map<string, Running>();
  readonly #pids = new Map<string, number>();

  constructor(parts: {
    events: Events;
    log: ClusterLog;
    nodes: ReadonlyMap<string, Node>;
    now: () => number;
  }) {
    this.#events = parts.events;
    this.#log = parts.log;
    this.#nodes = parts.nodes;
    this.#now = parts.now;
  }

  /** Forks a worker and answers its UPID; nothing of it has happened yet. */
  start(order: Order): string {
    const now = this.#now();
    const pid = this.pid(order.node);
    const bootedAt = this.#nodes.get(order.node)?.bootedAt ?? 0;
    const pstart = Math.floor((now - bootedAt) / 10);
    const starttime = Math.floor(now / 1000);
    const numbers = [pid, pstart, starttime].map(hex8).join(":");
    const upid = `UPID:${order.node}:${numbers}:${order.type}:${order.id}:${order.user}:`;
    const { node, type, id, user } = order;
    this.#tasks.set(upid, { upid, node, pid, pstart, starttime, type, id, user, lines: [] });
    const warnings = { count: 0 };
    const work = order.work(this.#logOf(upid, warnings), upid);
    this.#running.set(upid, { work, warnings, step: 0 });
    this.#log.write(now, node, user, `starting task ${upid}`);
    this.#schedule(upid, order.delayMs ?? 25 + (pid % 26));
    return upid;
  }

  /** A process id that was not used on that node before. */
  pid(node: string): number {
    const pid = (this.#pids.get(node) ?? 1500) + 3 + ((this.#pids.get(node) ?? 0) % 5);
    this.#pids.set(node, pid);
    return pid;
  }

  find(upid: string): Task | undefined {
    return this.#tasks.get(upid);
  }

  /** In the order in which they began, oldest first. */
  list(node?: string): Task[] {
    const tasks = [...this.#tasks.values()];
    return node === undefined ? tasks : tasks.filter((task) => task.node === node);
  }

  /** SIGTERM to the worker; a finished task is left alone. */
  stop(upid: string): void {
    const running = this.#running.get(upid);
    if (!running) return;
    running.step++;
    this.#resume(upid, running, () => running.work.throw(new Interrupted("received interrupt")));
  }

  /** The host of these workers died: their logs end without a last line. */
  killAll(node: string): void {
    for (const task of this.list(node)) {
      const running = this.#running.get(task.upid);
      if (!running) continue;
      running.work.return();
      this.#running.delete(task.upid);
      task.endtime = Math.floor(this.#now() / 1000);
      task.exitstatus = "unexpected status";
    }
  }

  #schedule(upid: string, delayMs: number): void {
    const running = this.#running.get(upid);
    if (!running) return;
    const step = ++running.step;
    this.#events.schedule(this.#now() + delayMs, () => {
      if (this.#running.get(upid) !== running || running.step !== step) return;
      this.#resume(upid, running, () => running.work.next());
    });
  }

  #resume(upid: string, running: Running, go: () => IteratorResult<number, void>): void {
    try {
      const step = go();
      const { count } = running.warnings;
      if (!step.done) this.#schedule(upid, step.value);
      else this.#finish(upid, count > 0 ? `WARNINGS: ${count}` : "OK");
    } catch (failure) {
      if (!endsTask(failure)) throw failure;
      this.#finish(upid, failure.message, `TASK ERROR: ${failure.message}`);
    }
  }

  #finish(upid: string, exitstatus: string, lastLine = `TASK ${exitstatus}`): void {
    const task = this.#tasks.get(upid);
    if (!task) return;
    this.#running.delete(upid);
    task.lines.push(lastLine);
    task.endtime = Math.floor(this.#now() / 1000);
    task.exitstatus = exitstatus.replaceAll("\n", " ").trim();
    this.#log.write(this.#now(), task.node, task.user, `end task ${upid} ${task.exitstatus}`);
    if (this.#tasks.size > archiveSize * this.#nodes.size) this.#forgetOldest();
  }

  #forgetOldest(): void {
    for (const [upid, task] of this.#tasks) {
      if (task.endtime === undefined) continue;
      this.#tasks.delete(upid);
      return;
    }
  }

  #logOf(upid: string, warnings: { count: number }): TaskLog {
    const lines = this.#tasks.get(upid)?.lines ?? [];
    return {
      print: (line) => void lines.push(line),
      warn: (line) => {
        warnings.count++;
        lines.push(`WARN: ${line}`);
      },
      append: (text) => void lines.push(`${lines.pop() ?? ""}${text}`),
    };
  }
}

/** Also what a handler would refuse: in a worker it is a `die` like any other. */
function endsTask(failure: unknown): failure is Error {
  return [TaskFailure, Interrupted, Refusal].some((kind) => failure instanceof kind);
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}
