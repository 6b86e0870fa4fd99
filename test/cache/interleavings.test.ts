import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { path } from "../../src/http/path.ts";
import { isProblem } from "../../src/problem.ts";
import { Call } from "../../src/proxmox/api/call.ts";
import { defaultAges, fresh, tags } from "../../src/proxmox/api/freshness.ts";
import type { Verbs } from "../../src/proxmox/api/verbs.ts";
import type { Tasks } from "../../src/proxmox/tasks/tasks.ts";
import {
  after,
  clientOf,
  Host,
  plans,
  play,
  runs,
  type Source,
  StepClock,
  seed,
  them,
} from "./scheduled.ts";

/** What tells of a version: an edit stands in the log, a task there and in the list, what is silent nowhere. */
type Kind = "edit" | "task" | "silent";

const told: Readonly<Record<Source, readonly Kind[]>> = {
  log: ["edit", "task"],
  tasks: ["task"],
  none: [],
};

/** The same to a client whose rights were others when it asked for them: who may not read the log any more gets one without others' lines. */
function toldTo(asked: Source, has: Source): readonly Kind[] {
  const tells = has === "log" || (has === "tasks" && asked !== "log");
  return tells ? told[asked] : [];
}

/** Tasks of others. A start takes a lock away and applies what is pending, a stop what was hot-plugged; any of them may write more than once. */
const theirTypes = ["qmstart", "qmstop", "qmconfig", "resize", "qmsnapshot"];

/** One guest whose configuration is a version number that grows with every change of it. It remembers when each version began. */
class Model extends Host {
  readonly #began: { at: number; kind: Kind }[] = [{ at: 0, kind: "task" }];
  /** UPID → the version that its acceptance made, and that its end made. */
  readonly accepted = new Map<string, number>();
  readonly ended = new Map<string, number>();
  /** A task of others that runs, and whether it has written something since it began. */
  #theirs: { readonly upid: string; hasWritten: boolean } | undefined;

  get version(): number {
    return this.#began.length - 1;
  }

  /** The least that an answer asked for now may show: what is told of from before `heard`, and everything from before `all`. */
  least({ heard, all }: { heard: number; all: number }): number {
    // What may be seen is asked for once in 60 s; before that, it is looked for where nothing tells of it any more.
    const sources = this.sourcesSince(heard - defaultAges.permissions.trustedMs);
    const isTold = (kind: Kind) =>
      sources.every((has, index) =>
        sources.slice(0, index + 1).every((asked) => toldTo(asked, has).includes(kind)),
      );
    return this.#began.findLastIndex(({ at, kind }) => at < (isTold(kind) ? heard : all));
  }

  advance(kind: Kind): number {
    this.#began.push({ at: this.clock.now(), kind });
    if (kind === "edit") this.write("update VM 101: -memory 1");
    return this.version;
  }

  /** Others begin a task, or it writes something, or it ends: each makes a version. */
  theirTask(): void {
    if (!this.#theirs) {
      const type = theirTypes[this.tasks.size % theirTypes.length] ?? "";
      this.#theirs = { upid: this.begin(type, them), hasWritten: false };
    } else if (this.#theirs.hasWritten) {
      this.end(this.#theirs.upid);
      this.#theirs = undefined;
    } else this.#theirs.hasWritten = true;
    this.advance("task");
  }

  endTasks(): void {
    for (const upid of this.accepted.keys()) {
      if (this.ended.has(upid)) continue;
      this.ended.set(upid, this.advance("task"));
      this.end(upid);
    }
  }

  protected change(): string {
    const upid = this.begin("qmstart");
    this.accepted.set(upid, this.advance("task"));
    return upid;
  }

  protected read(where: string): unknown {
    return where === "/cluster/resources" ? [] : { memory: this.version };
  }
}

interface World {
  readonly model: Model;
  readonly clock: StepClock;
  readonly verbs: Verbs;
  readonly tasks: Tasks;
  /** What an answer that is served from now on must at least show. */
  floor: number;
  /** Where news comes from while the credentials have other rights than at first. */
  readonly other: Source;
  readonly first: Source;
}

const touches = [tags.guest({ type: "qemu", vmid: 101 })];
const freshness = fresh("guestConfig", ...touches);
const parse = (data: unknown) => (data as { memory: number }).memory;

/** Two answers about one guest, so that they make each other's news old. */
const questions = {
  config: { path: path`/nodes/pve1/qemu/101/config`, freshness, parse },
  pending: { path: path`/nodes/pve1/qemu/101/pending`, freshness, parse },
};

/** Reads, and holds the answer against the model at the moment of serving. */
async function read(
  world: World,
  verb: "observe" | "live",
  about: keyof typeof questions = "config",
): Promise<void> {
  const { clock, model, verbs } = world;
  const now = clock.now();
  const { trustedMs, keptMs } = defaultAges.guestConfig;
  const { failed } = model;
  try {
    const { version } = model;
    const seen = await verbs[verb](new Call(), questions[about]);
    // What is told of is seen within the trusted age, what nothing tells of is bounded by how long answers are kept. Asked only now, as
    // rights that were taken away while the sweep was under way keep news from it.
    const least = model.least({ heard: now - trustedMs, all: now - keptMs });
    const atLeast = verb === "live" ? version : least;
    expect(seen, "older than promised").toBeGreaterThanOrEqual(atLeast);
    expect(seen, "from before a change or its task's end").toBeGreaterThanOrEqual(world.floor);
  } catch (error) {
    if (!isProblem(error, "upstream")) throw error;
    expect(model.failed, "a failure that is remembered").toBeGreaterThan(failed);
  }
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
  /** The same as `read`, but nothing goes on before it has its answer. Only where nothing else is on its way. */
  asked: async (world: World) => {
    world.model.isFar = () => false;
    await read(world, "observe");
    world.model.isFar = () => true;
  },
  /** The same where a sweep's news is there at once and its rows travel. */
  slowRows: async (world: World) => {
    world.model.isFar = (path) => path.includes("/cluster/resources");
    await read(world, "observe").finally(() => {
      world.model.isFar = () => true;
    });
  },
  read: (world: World) => read(world, "observe"),
  other: (world: World) => read(world, "observe", "pending"),
  live: (world: World) => read(world, "live"),
  change,
  edit: async ({ model }: World) => void model.advance("edit"),
  silent: async ({ model }: World) => void model.advance("silent"),
  theirs: async ({ model }: World) => model.theirTask(),
  rights: async ({ model, first, other }: World) =>
    model.grant(model.source === first ? other : first),
  fail: async ({ model }: World) => model.failNext(2),
  end: async ({ model }: World) => model.endTasks(),
  second: async ({ clock }: World) => clock.step(1_000),
  seconds: async ({ clock }: World) => clock.step(6_000),
  minute: async ({ clock }: World) => clock.step(45_000),
};

type Step = keyof typeof steps;

const reads = { read: 6, other: 2, live: 1 };
const changes = { change: 2, edit: 2, silent: 1, theirs: 3 };
const events = { fail: 1, rights: 1, minute: 1, end: 2, second: 2, seconds: 3 };

/** What stands in memory and was vouched for, and another sweep that is due. */
const due = ["asked", "seconds", "seconds", "asked", "seconds", "seconds"] as const;
const sweeping: readonly Step[] = [...due, "read"];
/** What happens between a sweep's news and its end is not in that news. */
const slow: readonly Step[] = [...due, "slowRows", "edit", "seconds"];

/** Reads are what can go wrong, so they are most of it; and what happens while a sweep is under way is hard to meet by chance. */
const plan = fc.oneof(
  { weight: 6, arbitrary: plans<Step>({ ...reads, ...changes, ...events }, 16) },
  { weight: 1, arbitrary: after(slow, { read: 3, seconds: 3 }) },
  { weight: 1, arbitrary: after(sweeping, { edit: 2, theirs: 1, seconds: 3, read: 3 }) },
);
const source = fc.constantFrom<Source>("log", "log", "tasks", "none");

interface Given {
  readonly first: Source;
  readonly other: Source;
  readonly tiny: boolean;
}

function world(scheduler: fc.Scheduler, { first, other, tiny }: Given): World {
  const clock = new StepClock();
  const model = new Model(scheduler, clock, first);
  const { verbs, tasks } = clientOf(model, clock, tiny);
  return { model, clock, verbs, tasks, floor: 0, first, other };
}

describe("under every order of reads, changes, ends of tasks, sweeps, outside changes, failures and time", () => {
  test(`no answer is older than promised, and none is from before a change (${runs} orders)`, async () => {
    let reads = 0;
    const property = fc.asyncProperty(
      fc.scheduler(),
      plan,
      fc.record({ first: source, other: source, tiny: fc.boolean() }),
      async (scheduler, names, given) => {
        const made = world(scheduler, given);
        reads += names.filter((name) => name === "read" || name === "asked").length;
        await play({
          scheduler,
          steps: names.map((name) => ({
            name,
            waits: name === "asked",
            run: () => lateIsNoAnswer(steps[name](made)),
          })),
          finish: () => {
            made.model.endTasks();
            made.clock.step(5_000);
          },
        });
      },
    );
    await fc.assert(property, { ...seed, numRuns: runs });
    expect(reads).toBeGreaterThan(runs);
  }, 3_600_000);
});

/** A request that the clock has overtaken is a timeout, and no answer that could be wrong. */
async function lateIsNoAnswer(step: Promise<void>): Promise<void> {
  try {
    await step;
  } catch (error) {
    if (!isProblem(error, "timeout", "outcome_unknown")) throw error;
  }
}
