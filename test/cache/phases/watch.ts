import { isProblem } from "../../../src/problem.ts";
import { Call } from "../../../src/proxmox/api/call.ts";
import { seededRandom } from "../../../src/simulator/random.ts";
import type { Tool, ToolContext } from "../../../src/tool.ts";
import type { Lab } from "../../kit.ts";

/** What a tool answers, or undefined where it refuses. */
export type Seen = Readonly<Record<string, unknown>> | undefined;

/** A way of looking at what was changed, and how long it may be behind. */
export interface View {
  readonly says: string;
  readonly tool: Tool;
  readonly args: (round: number) => Readonly<Record<string, unknown>>;
  /** Whether the answer is one from before the change of this round. */
  readonly isOld: (seen: Seen, round: number) => boolean;
  readonly boundS: number;
}

/** Something that others do, again and again. */
export interface OutsideChange {
  readonly says: string;
  /** What we do ourselves up to 12 s before, and know the guest by. */
  readonly ours?: (round: number) => Promise<unknown>;
  /** Rounds count from 1. */
  readonly change: (round: number) => void;
  /** How to see that what takes time (a task) has happened. */
  readonly hasHappened?: () => boolean;
  /** Makes ready for the next round, which begins this many ms later. */
  readonly restore?: (round: number) => void;
  readonly restMs?: number;
  readonly views: readonly View[];
}

export interface Longest {
  /** `deletes a guest, get_vm` */
  readonly says: string;
  readonly boundS: number;
  /** The longest time from the change to an answer that did not show it, in s. */
  staleS: number;
  rounds: number;
}

const stepMs = 20;

/**
 * Lets others change and an agent ask at the same time, each kind of change `rounds` times at random phases and rates (the same
 * ones every time). Answers the longest of each view.
 */
export async function watch(
  server: Lab,
  changes: readonly OutsideChange[],
  rounds: number,
): Promise<readonly Longest[]> {
  const longest = new Map<string, Longest>();
  for (const { says, views } of changes) {
    for (const { says: view, boundS } of views) {
      longest.set(`${says}, ${view}`, { says: `${says}, ${view}`, boundS, staleS: 0, rounds: 0 });
    }
  }
  const followed = changes.map((change, index) => {
    const alike = changes.filter(({ says }) => says === change.says).length;
    return follow(server, change, {
      rounds: Math.ceil(rounds / alike),
      random: seededRandom(index + 1),
      longest,
    });
  });
  await server.clock.run(Promise.all(followed));
  return [...longest.values()];
}

interface Account {
  readonly rounds: number;
  readonly random: () => number;
  readonly longest: ReadonlyMap<string, Longest>;
}

async function follow(server: Lab, change: OutsideChange, account: Account): Promise<void> {
  const { clock } = server;
  const { rounds, random } = account;
  const boundMs = 1000 * Math.max(...change.views.map(({ boundS }) => boundS));
  for (let round = 1; round <= rounds; round++) {
    // From many questions within the bound to one that hardly finds anything in memory.
    const pauseMs = (boundMs / 20) * 16 ** random();
    await clock.sleep(12_000 * random());
    await change.ours?.(round);
    if (change.ours) await clock.sleep(12_000 * random() ** 3);
    await ask(server, change, round);
    if (!change.ours) await clock.sleep(pauseMs * random());
    change.change(round);
    while (change.hasHappened?.() === false) await clock.sleep(stepMs);
    await catchUp(server, change, round, { pauseMs, untilMs: boundMs * 1.5 }, account);
    change.restore?.(round);
    await clock.sleep(change.restMs ?? 0);
  }
}

/** Asks until nothing old has been answered for a while, so that an answer which goes back in time is noticed too. */
async function catchUp(
  server: Lab,
  change: OutsideChange,
  round: number,
  { pauseMs, untilMs }: { readonly pauseMs: number; readonly untilMs: number },
  { longest, random }: Account,
): Promise<void> {
  const { clock } = server;
  const changedAt = clock.now();
  let oldAt = changedAt;
  await clock.sleep(pauseMs * random());
  while (clock.now() - changedAt < untilMs && clock.now() - oldAt <= Math.max(3_000, 2 * pauseMs)) {
    const askedAt = clock.now();
    for (const says of await ask(server, change, round)) {
      const one = longest.get(`${change.says}, ${says}`);
      if (one) one.staleS = Math.max(one.staleS, (askedAt - changedAt) / 1000);
      oldAt = askedAt;
    }
    await clock.sleep(pauseMs);
  }
  for (const { says } of change.views) {
    const one = longest.get(`${change.says}, ${says}`);
    if (one) one.rounds++;
  }
}

/** The views that show what was before the change. */
async function ask(
  { proxmox }: Lab,
  { views }: OutsideChange,
  round: number,
): Promise<readonly string[]> {
  const answers = views.map(async ({ says, tool, args, isOld }) => {
    // What a call gets from its server; reads use no more of it.
    const once = <T>(_: object, make: () => T) => make();
    const context = { proxmox, call: new Call(), once } as unknown as ToolContext;
    const seen = await tool.run(args(round), context).catch((error: unknown) => {
      if (isProblem(error, "not_found")) return undefined;
      throw error;
    });
    return isOld(seen, round) ? [says] : [];
  });
  return (await Promise.all(answers)).flat();
}
