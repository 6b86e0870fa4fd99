import fc from "fast-check";
import type { Clock } from "../../src/clock.ts";
import { openConnection } from "../../src/connections.ts";
import { apiToken } from "../../src/http/auth.ts";
import type { Transport, WireReply, WireRequest } from "../../src/http/transport.ts";
import type { ProxmoxClient } from "../../src/proxmox/client.ts";

const deep = process.env["DEEP"] !== undefined;
const wanted = process.env["RUNS"];

/** 2,000 in CI; more on demand: `npm run test:deep`, or `RUNS=20000 npx vitest run --dir test cache`. */
export const runs = deep ? 100_000 : Number(wanted ?? 2_000);

/** CI takes the same orders every time: a red that depends on luck tells nothing about the change at hand. More runs are new ones. */
export const seed: { seed?: number } = deep || wanted !== undefined ? {} : { seed: 1 };

/** A clock that moves only when told, and wakes whoever is due at once. */
export class StepClock implements Clock {
  #now = 1_000_000;
  #sleepers: { due: number; wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.push({ due: this.#now + ms, wake: resolve });
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  step(ms: number): void {
    this.#now += ms;
    const due = this.#sleepers.filter((sleeper) => sleeper.due <= this.#now);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.due > this.#now);
    for (const sleeper of due) sleeper.wake();
  }
}

/** What credentials may see of what happened. */
export type Source = "log" | "tasks" | "none";

const privileges = {
  log: { "Sys.Syslog": 1, "Sys.Audit": 1 },
  tasks: { "Sys.Audit": 1 },
  none: {},
} as const;

interface ModelTask {
  readonly upid: string;
  readonly user: string;
  readonly startedAt: number;
  endedAt?: number;
  exitstatus?: string;
}

/** Who has begun a task: what is our own is in every list, whatever our rights. */
export const us = "root@pam!mcp";
export const them = "root@pam";

/**
 * A host behind a wire on which requests and answers travel as long as the scheduler wants. It has tasks, a log and a list of tasks;
 * what its guests are is told by who extends it.
 */
export abstract class Host implements Transport {
  readonly #travel: (label: string) => Promise<void>;
  protected readonly clock: StepClock;
  /** What the credentials may see, from a moment on. */
  readonly #sources: { readonly at: number; readonly source: Source }[];
  readonly tasks = new Map<string, ModelTask>();
  readonly #log: { readonly time: number; readonly user: string; readonly msg: string }[] = [];
  /** Whether a request to this path and its answer travel; else both are there at once. */
  isFar: (path: string) => boolean = () => true;
  /** Reads whose failure was answered. */
  failed = 0;
  #failing = 0;

  constructor(scheduler: fc.Scheduler, clock: StepClock, source: Source) {
    this.#travel = (label) => scheduler.schedule(Promise.resolve(), label);
    this.clock = clock;
    this.#sources = [{ at: 0, source }];
  }

  get source(): Source {
    return this.#sources.at(-1)?.source ?? "none";
  }

  /** The credentials' rights are changed. */
  grant(source: Source): void {
    this.#sources.push({ at: this.clock.now(), source });
  }

  /** All that the credentials might see at some time since then. */
  sourcesSince(time: number): readonly Source[] {
    const first = this.#sources.findLastIndex(({ at }) => at < time);
    return this.#sources.slice(Math.max(0, first)).map(({ source }) => source);
  }

  /** PVE's answer to a read that is about guests; undefined: there is none such. */
  protected abstract read(path: string): unknown;
  /** PVE's answer to a change: a UPID; undefined: there is no such guest. */
  protected abstract change(method: string, path: string): string | undefined;

  async send(request: WireRequest): Promise<WireReply> {
    const isFar = this.isFar(request.path);
    if (isFar) await this.#travel(`${request.method} arrives`);
    const reply = this.#reply(request);
    if (isFar) await this.#travel(`${request.method} is answered`);
    // What is known when a request goes out was so before it arrives: no wire is as fast as a clock that stands still.
    this.clock.step(1);
    if (reply.status === 500 && request.method === "GET") this.failed++;
    const date = new Date(this.clock.now()).toUTCString();
    return { ...reply, headers: { date }, body: JSON.stringify({ data: reply.data }) };
  }

  async close(): Promise<void> {}

  /** The next reads fail. */
  failNext(reads: number): void {
    this.#failing += reads;
  }

  /** Times are whole seconds, as in PVE's answers. */
  write(msg: string, user = them): void {
    this.#log.push({ time: this.#seconds(), user, msg });
  }

  protected begin(type: string, user = us): string {
    const pid = this.tasks.size.toString(16).toUpperCase().padStart(8, "0");
    const upid = `UPID:pve1:${pid}:00000001:69566000:${type}:101:${user}:`;
    this.tasks.set(upid, { upid, user, startedAt: this.#seconds() });
    this.write(`starting task ${upid}`, user);
    return upid;
  }

  protected end(upid: string, exitstatus = "OK"): void {
    const task = this.tasks.get(upid);
    if (!task || task.exitstatus !== undefined) return;
    task.endedAt = this.#seconds();
    task.exitstatus = exitstatus;
    this.write(`end task ${upid} ${exitstatus}`, task.user);
  }

  #seconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }

  #reply({ method, path: where }: WireRequest) {
    const path = decodeURIComponent(where.split("?")[0] ?? "").replace("/api2/json", "");
    const missing = {
      status: 500,
      reason: "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist",
      data: null,
    };
    if (method !== "GET") {
      const upid = this.change(method, path);
      return upid === undefined ? missing : { status: 200, reason: "OK", data: upid };
    }
    if (this.#failing > 0 && !path.includes("/tasks/")) {
      this.#failing--;
      return { status: 500, reason: "out of order", data: null };
    }
    const data = this.#common(path) ?? this.read(path);
    return data === undefined ? missing : { status: 200, reason: "OK", data };
  }

  #common(path: string): unknown {
    if (path === "/access/permissions") return { "/": privileges[this.source] };
    if (path === "/cluster/log") {
      return this.#log
        .map((one, index) => ({ node: "pve1", uid: String(index + 1), ...one }))
        .filter(({ user }) => user === us || this.source === "log")
        .slice(-500);
    }
    if (path === "/cluster/tasks") return this.#recent();
    const upid = /\/tasks\/(UPID:[^/]+)\/status$/.exec(path)?.[1];
    if (upid !== undefined) {
      const { exitstatus } = this.tasks.get(upid) ?? {};
      return exitstatus === undefined ? { status: "running" } : { status: "stopped", exitstatus };
    }
    return path.endsWith("/log") ? [] : undefined;
  }

  #recent(): readonly unknown[] {
    const seen = [...this.tasks.values()].filter(
      ({ user }) => user === us || this.source !== "none",
    );
    const all = seen.map(({ upid, startedAt, endedAt, exitstatus }) => ({
      upid,
      node: "pve1",
      starttime: startedAt,
      ...(endedAt !== undefined && { endtime: endedAt, status: exitstatus }),
    }));
    const running = all.filter((task) => !("endtime" in task));
    const done = all.filter((task) => "endtime" in task).toReversed();
    return [...running, ...done.slice(0, Math.max(0, 25 - running.length))];
  }
}

/** A client of this host; `tiny` has a cache that hardly keeps one answer. */
export function clientOf(transport: Transport, clock: StepClock, tiny: boolean): ProxmoxClient {
  return openConnection({
    hosts: [{ name: "model", transport }],
    auth: apiToken({ id: "root@pam!mcp", secret: "secret" }),
    clock,
    random: () => 0.5,
    ...(tiny && { cacheBytes: 2_240 }),
  });
}

interface Step {
  readonly name: string;
  readonly run: () => Promise<void>;
  /** Whether the next step begins only when this one has ended. */
  readonly waits?: boolean;
}

/** What a play is made of: steps that begin in their order, and all else when the scheduler wants. */
export interface Play {
  readonly scheduler: fc.Scheduler;
  readonly steps: readonly Step[];
  /** Lets what runs come to its end, once all steps have begun. */
  readonly finish: () => void;
}

/** Rejects with the first step that does. */
export async function play({ scheduler, steps, finish }: Play): Promise<void> {
  const running: Promise<void>[] = [];
  const begin = (run: () => Promise<void>) => {
    const step = run();
    step.catch(() => undefined); // told below
    running.push(step);
  };
  scheduler.scheduleSequence(
    steps.map(({ name, run, waits = false }) => ({
      label: name,
      builder: async () => (waits ? run() : begin(run)),
    })),
  );
  // Each event is a macrotask of its own, as on a real wire.
  const act = async (event: () => Promise<unknown>) => {
    await event();
    await new Promise((resolve) => setImmediate(resolve));
  };
  await scheduler.waitIdle(act);
  const over = Promise.all(running);
  let settled = false;
  over.then(
    () => (settled = true),
    () => (settled = true),
  );
  while (!settled) {
    finish();
    await scheduler.waitIdle(act);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await over;
}

/** Plans of these steps, by weight. */
export function plans<Step extends string>(
  weights: Readonly<Partial<Record<Step, number>>>,
  maxLength: number,
): fc.Arbitrary<Step[]> {
  const steps = Object.entries(weights) as [Step, number][];
  const some = steps.map(([step, weight]) => ({ weight, arbitrary: fc.constant(step) }));
  return fc.array(fc.oneof(...some), { minLength: 2, maxLength, size: "max" });
}

/** What begins like this, and goes on with any of these. */
export function after<Step extends string>(
  first: readonly Step[],
  weights: Readonly<Partial<Record<Step, number>>>,
): fc.Arbitrary<Step[]> {
  return plans<Step>(weights, 10).map((rest) => [...first, ...rest]);
}
