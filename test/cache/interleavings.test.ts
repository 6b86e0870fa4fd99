import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { openConnection } from "../../src/connections.ts";
import { apiToken } from "../../src/http/auth.ts";
import { path } from "../../src/http/path.ts";
import type { Transport, WireReply, WireRequest } from "../../src/http/transport.ts";
import { isProblem } from "../../src/problem.ts";
import { Call } from "../../src/proxmox/call.ts";
import { ages, tags } from "../../src/proxmox/freshness.ts";
import type { Tasks } from "../../src/proxmox/tasks.ts";
import type { Verbs } from "../../src/proxmox/verbs.ts";

/** 2,000 in CI; more on demand: `DEEP=1 npx vitest run --dir test interleavings`. */
const runs = process.env["DEEP"] === undefined ? 2_000 : 100_000;
/** A clock that moves only when told, and wakes whoever is due at once. */
class StepClock implements Clock {
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

/**
 * One guest whose configuration is a version number that grows with every change of it, behind a wire on which requests and
 * answers travel as long as the scheduler wants. It remembers when each version began.
 */
class Model implements Transport {
  readonly #travel: (label: string) => Promise<void>;
  readonly #clock: StepClock;
  /** When each version began, and whether the host's log tells of it. */
  readonly #began: { at: number; logged: boolean }[] = [{ at: 0, logged: true }];
  readonly #log: string[] = [];
  /** UPID → the version that its acceptance made, and its end. */
  readonly accepted = new Map<string, number>();
  readonly ended = new Map<string, number>();

  constructor(travel: (label: string) => Promise<void>, clock: StepClock) {
    this.#travel = travel;
    this.#clock = clock;
  }

  get version(): number {
    return this.#began.length - 1;
  }

  /** The least that an answer asked for now may show: what was logged before `logged`, and everything before `all`. */
  least({ logged, all }: { logged: number; all: number }): number {
    return this.#began.findLastIndex((one) => one.at < (one.logged ? logged : all));
  }

  change(message?: string): number {
    const at = this.#clock.now();
    this.#began.push({ at, logged: message !== undefined });
    if (message !== undefined) this.#log.push(message);
    return this.version;
  }

  endTasks(): void {
    for (const upid of this.accepted.keys()) {
      if (!this.ended.has(upid)) this.ended.set(upid, this.change(`end task ${upid} OK`));
    }
  }

  async send(request: WireRequest): Promise<WireReply> {
    await this.#travel(`${request.method} arrives`);
    const data = this.#answer(request);
    await this.#travel(`${request.method} is answered`);
    const date = new Date(this.#clock.now()).toUTCString();
    return { status: 200, reason: "OK", headers: { date }, body: JSON.stringify({ data }) };
  }

  async close(): Promise<void> {}

  #answer({ method, path: where }: WireRequest): unknown {
    if (method === "POST") {
      const upid = upidOf(this.accepted.size);
      this.accepted.set(upid, this.change(`starting task ${upid}`));
      return upid;
    }
    if (where.endsWith("/access/permissions")) return { "/": { "Sys.Syslog": 1 } };
    if (where.includes("/cluster/log")) return this.#lines();
    if (where.endsWith("/cluster/resources")) return [];
    const task = [...this.accepted.keys()].find((upid) => decodeURIComponent(where).includes(upid));
    if (task === undefined) return { memory: this.version };
    return this.ended.has(task) ? { status: "stopped", exitstatus: "OK" } : { status: "running" };
  }

  /** Times are whole seconds, as in PVE's answer. */
  #lines(): unknown {
    const began = this.#began.filter((one) => one.logged).slice(1);
    return this.#log.map((msg, index) => {
      const time = Math.floor((began[index]?.at ?? 0) / 1000);
      return { node: "pve1", uid: String(index + 1), time, msg, user: "root@pam" };
    });
  }
}

function upidOf(index: number): string {
  const pid = index.toString(16).toUpperCase().padStart(8, "0");
  return `UPID:pve1:${pid}:00000001:69566000:qmstart:101:root@pam!mcp:`;
}

interface World {
  readonly model: Model;
  readonly clock: StepClock;
  readonly verbs: Verbs;
  readonly tasks: Tasks;
  /** What an answer that is served from now on must at least show. */
  floor: number;
}

const touches = [tags.guest({ type: "qemu", vmid: 101 })];

const config = {
  path: path`/nodes/pve1/qemu/101/config`,
  freshness: { ...ages.guestConfig, tags: touches },
  parse: (data: unknown) => (data as { memory: number }).memory,
};

/** Reads, and holds the answer against the model at the moment of serving. */
async function read(world: World, verb: "observe" | "live"): Promise<void> {
  const { clock, model, verbs } = world;
  const now = clock.now();
  const { trustedMs, keptMs } = ages.guestConfig;
  // What the log tells of is seen within the trusted age; what nothing tells of is bounded by how long answers are kept.
  const atLeast =
    verb === "live" ? model.version : model.least({ logged: now - trustedMs, all: now - keptMs });
  const seen = await verbs[verb](new Call(), config);
  expect(seen, "older than promised").toBeGreaterThanOrEqual(atLeast);
  expect(seen, "from before a change or its task's end").toBeGreaterThanOrEqual(world.floor);
}

/** Changes: nothing older is served once PVE has answered, nor once the end of its task is known. */
async function change(world: World): Promise<void> {
  const { model, verbs, tasks } = world;
  const request = { method: "POST" as const, path: path`/nodes/pve1/qemu/101/status/start` };
  const upid = String(await verbs.change(new Call(), request, touches));
  world.floor = Math.max(world.floor, model.accepted.get(upid) ?? 0);
  await tasks.follow(upid, { touches }).settle({ timeoutMs: 86_400_000 });
  world.floor = Math.max(world.floor, model.ended.get(upid) ?? 0);
}

const steps = {
  read: (world: World) => read(world, "observe"),
  live: (world: World) => read(world, "live"),
  change,
  outside: async ({ model }: World) => void model.change("update VM 101: -memory 1"),
  silent: async ({ model }: World) => void model.change(),
  end: async ({ model }: World) => model.endTasks(),
  second: async ({ clock }: World) => clock.step(1_000),
  seconds: async ({ clock }: World) => clock.step(6_000),
  minute: async ({ clock }: World) => clock.step(45_000),
};

type Step = keyof typeof steps;

/** Reads are what can go wrong, so they are most of it. */
const plan = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Step>("read") },
    { weight: 1, arbitrary: fc.constant<Step>("live") },
    { weight: 2, arbitrary: fc.constant<Step>("change") },
    { weight: 2, arbitrary: fc.constant<Step>("outside") },
    { weight: 1, arbitrary: fc.constant<Step>("silent") },
    { weight: 1, arbitrary: fc.constant<Step>("minute") },
    { weight: 2, arbitrary: fc.constant<Step>("end") },
    { weight: 2, arbitrary: fc.constant<Step>("second") },
    { weight: 3, arbitrary: fc.constant<Step>("seconds") },
  ),
  { minLength: 2, maxLength: 30 },
);

function world(scheduler: fc.Scheduler): World {
  const clock = new StepClock();
  const model = new Model((label) => scheduler.schedule(Promise.resolve(), label), clock);
  const auth = apiToken({ id: "root@pam!mcp", secret: "secret" });
  const hosts = [{ name: "model", transport: model }];
  const { verbs, tasks } = openConnection({ hosts, auth, clock, random: () => 0.5 });
  return { model, clock, verbs, tasks, floor: 0 };
}

/** Runs a plan in the order that the scheduler chooses; rejects with the first answer that should not have been served. */
async function play(scheduler: fc.Scheduler, names: readonly Step[]): Promise<number> {
  const made = world(scheduler);
  const running: Promise<void>[] = [];
  const begin = (name: Step) => {
    // A request that the clock has overtaken is a timeout, and no answer that could be wrong.
    const step = steps[name](made).catch((error: unknown) => {
      if (!isProblem(error, "timeout", "outcome_unknown")) throw error;
    });
    step.catch(() => undefined); // told below
    running.push(step);
  };
  scheduler.scheduleSequence(
    names.map((name) => ({ label: name, builder: async () => begin(name) })),
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
    made.model.endTasks();
    made.clock.step(5_000);
    await scheduler.waitIdle(act);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await over;
  return names.filter((name) => name === "read").length;
}

describe("under every order of reads, changes, ends of tasks, sweeps, outside changes and time", () => {
  test(`no answer is older than promised, and none is from before a change (${runs} orders)`, async () => {
    let reads = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), plan, async (scheduler, names) => {
        reads += await play(scheduler, names);
      }),
      { numRuns: runs },
    );
    expect(reads).toBeGreaterThan(runs);
  }, 1_800_000);
});
