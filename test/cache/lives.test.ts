import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isProblem } from "../../src/problem.ts";
import { Call } from "../../src/proxmox/api/call.ts";
import type { ProxmoxClient } from "../../src/proxmox/client.ts";
import type { Changed } from "../../src/proxmox/guests/changes.ts";
import { Model, roundMs } from "./lives-model.ts";
import {
  after,
  clientOf,
  runs as manyRuns,
  plans,
  play,
  type Source,
  StepClock,
  seed,
} from "./scheduled.ts";

const runs = manyRuns / 2;

interface World {
  readonly model: Model;
  readonly clock: StepClock;
  readonly client: ProxmoxClient;
  /** Index of the state that every answer from now on must have seen. */
  floor: number;
  /** Changes of ours that are under way. */
  busy: number;
  /** Destructions of ours that PVE has accepted and whose end nobody knows yet. */
  dying: number;
  /** Callers who will go away before they have their answer. */
  readonly leaving: AbortController[];
}

interface Seen {
  readonly name: string | undefined;
  readonly status: string;
  readonly lock: string | undefined;
  readonly edition?: number | undefined;
}

type Look = (client: ProxmoxClient) => Promise<Seen | undefined>;

const view: Look = async (client) => {
  const { name, status, lock, config } = await client.guests.view("101", "any", new Call());
  return { name, status, lock, edition: config?.memoryMib };
};

const list: Look = async (client) => {
  const [guest] = await client.guests.list({}, new Call());
  return guest && { name: guest.name, status: guest.row.status, lock: guest.lock };
};

/** Existence is live in rows; names and states lag 10 s, also after a change of ours. */
const trustedMs = 10_000;
const laggingMs = trustedMs + roundMs;

async function look(world: World, how: Look): Promise<void> {
  const { model, clock, client } = world;
  const asked = clock.now();
  const dyingBefore = world.dying;
  const seen = await how(client).catch((error: unknown) => {
    if (isProblem(error, "not_found") && error.facts["missingConfig"] !== true) return undefined;
    throw error;
  });
  const since = (ms: number) =>
    model.states.slice(Math.max(world.floor, model.indexAt(asked - ms)));
  const there = since(trustedMs + 1).some(
    ({ name }) => (name !== undefined) === (seen !== undefined),
  );
  expect(there, `${seen ? "a guest that is gone" : "no guest where one is"}`).toBe(true);
  if (!seen) return;
  const lag = since(laggingMs + 1);
  const states = [...model.figuresAt(lag[0], world.floor), ...lag].filter(({ name }) => name);
  if (seen.status !== "unknown") expect(states.map(({ status }) => status)).toContain(seen.status);
  if (seen.name !== undefined) expect(states.map(({ name }) => name)).toContain(seen.name);
  // What a task leaves in a configuration is told of; where nothing is told, it is bounded by how long answers are kept.
  const told = since(model.source === "none" ? 120_000 : trustedMs + 1);
  if (seen.edition !== undefined)
    expect(told.map(({ edition }) => edition)).toContain(seen.edition);
  if (dyingBefore > 0 && world.dying > 0) expect(seen.lock).toBe("destroyed");
  if (dyingBefore === 0 && world.dying === 0) expect(seen.lock).toBeUndefined();
}

/** Asks for a guest that nobody knows, or for this one, and is gone when `cancel` comes, if not answered by then. */
async function leave({ client, leaving }: World, reference: string): Promise<void> {
  const gone = new AbortController();
  leaving.push(gone);
  const call = new Call({ signal: gone.signal });
  await client.guests.view(reference, "any", call).catch((error: unknown) => {
    if (!isProblem(error)) throw error;
  });
}

/** Changes, waits for the end, and from then on nothing older may be answered. */
async function change(
  world: World,
  begin: (client: ProxmoxClient, call: Call) => Promise<Changed<unknown>>,
  destroys = false,
): Promise<void> {
  const { model, client } = world;
  world.busy++;
  const { task } = await begin(client, new Call()).finally(() => world.busy--);
  if (!task) return;
  world.busy++;
  if (destroys) world.dying++;
  const report = await task.settle({ timeoutMs: 86_400_000 });
  if (destroys) world.dying--;
  world.busy--;
  if (report.state === "ok") {
    const { endedAt = 0 } = model.tasks.get(report.upid) ?? {};
    const made = model.states.findIndex(({ at }) => Math.floor(at / 1000) === endedAt);
    world.floor = Math.max(world.floor, made);
  }
}

/** Lets changes of ours come to their end within some seconds, so that what is asked then meets rows that lag. */
async function calm(world: World): Promise<void> {
  const { model, clock } = world;
  for (let turn = 0; turn < 60 && world.busy > 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 4 < 3) continue;
    model.endTasks();
    clock.step(320);
  }
}

const steps = {
  view: (world: World) => look(world, view),
  list: (world: World) => look(world, list),
  /** The same, but nothing goes on before it has its answer. */
  listed: async (world: World) => {
    world.model.isFar = () => false;
    await look(world, list);
    world.model.isFar = () => true;
  },
  nobody: (world: World) => leave(world, "nobody"),
  leave: (world: World) => leave(world, "101"),
  cancel: async ({ leaving }: World) => {
    for (const caller of leaving.splice(0)) caller.abort();
  },
  start: (world: World) => change(world, (client, call) => client.power.start("101", call, {})),
  stop: (world: World) =>
    change(world, (client, call) => client.power.stop("101", call, { mode: "stop" })),
  destroy: (world: World) =>
    change(world, (client, call) => client.deletion.delete("101", call, { purge: false }), true),
  theyStart: async ({ model }: World) => model.others("start"),
  theyStop: async ({ model }: World) => model.others("stop"),
  powerOff: async ({ model }: World) => model.others("stop", false),
  theyDestroy: async ({ model }: World) => model.others("destroy"),
  theyCreate: async ({ model }: World) => model.others("create"),
  end: async ({ model }: World) => model.endTasks(),
  fail: async ({ model }: World) => model.failNext(1),
  willFail: async ({ model }: World) => {
    model.fails = !model.fails;
  },
  calm,
  second: async ({ clock }: World) => clock.step(1_300),
  seconds: async ({ clock }: World) => clock.step(6_000),
  round: async ({ clock }: World) => clock.step(10_500),
};

type Step = keyof typeof steps;

const others = { theyStart: 1, theyStop: 1, powerOff: 1, theyDestroy: 1, theyCreate: 2 };
const time = { second: 2, seconds: 3, round: 2 };
const leaving = { nobody: 2, leave: 1, cancel: 2 };
const ours = { start: 2, stop: 1, destroy: 2, end: 3, willFail: 1 };

/** All of it, and what is hard to meet by chance: what is read while a task of ours ends, and soon after. */
const plan = fc.oneof(
  plans<Step>({ view: 5, list: 5, fail: 1, ...ours, ...others, ...leaving, ...time }, 16),
  after<Step>(["destroy"], { list: 6, view: 1, end: 3, second: 4 }),
  after<Step>(["destroy", "calm"], { list: 4, view: 2, theyCreate: 2, seconds: 2, round: 3 }),
  after<Step>(["start", "calm"], { list: 4, view: 2, powerOff: 1, seconds: 2, round: 3 }),
  after<Step>(["theyStart", "round", "round", "view"], { view: 3, theyStart: 2, round: 3 }),
  after<Step>(["theyDestroy", "listed", "seconds", "theyCreate", "nobody"], {
    view: 3,
    ...leaving,
  }),
  after<Step>(["seconds", "list"], {
    list: 4,
    view: 2,
    start: 2,
    stop: 2,
    calm: 3,
    seconds: 3,
    end: 1,
  }),
);

describe("under every order of looks, changes of ours and of others, failures and time", () => {
  test(`no guest is there that is gone, none is missing, no state is older than promised (${runs} orders)`, async () => {
    const source = fc.constantFrom<Source>("log", "tasks", "none");
    const property = fc.asyncProperty(
      fc.scheduler(),
      plan,
      source,
      async (scheduler, names, from) => {
        const clock = new StepClock();
        const model = new Model(scheduler, clock, from);
        const client = clientOf(model, clock, false);
        const world = { model, clock, client, floor: 0, busy: 0, dying: 0, leaving: [] };
        await play({
          scheduler,
          steps: names.map((name) => ({
            name,
            waits: name === "calm" || name === "listed",
            run: () => refusalIsNoAnswer(steps[name](world)),
          })),
          finish: () => {
            model.endTasks();
            clock.step(5_000);
          },
        });
      },
    );
    await fc.assert(property, { ...seed, numRuns: runs });
  }, 3_600_000);
});

/** What is refused, late, or failed on the host is no answer that could be wrong. */
async function refusalIsNoAnswer(step: Promise<void>): Promise<void> {
  try {
    await step;
  } catch (error) {
    // Nobody else's call is given up because somebody has gone.
    if (!isProblem(error) || error.kind === "cancelled") throw error;
  }
}
