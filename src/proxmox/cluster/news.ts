import { path } from "../../http/path.ts";
import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { number, parseUpid, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import { type ListedTask, recentTasksQuestion } from "../tasks/listed-task.ts";
import { statusQuestion } from "../tasks/task.ts";
import type { Cluster } from "./cluster.ts";
import { type Happening, happeningOf, happeningOfTask } from "./happenings.ts";

interface LogLine {
  readonly node: string;
  readonly uid: number;
  /** By the host's clock, in ms. */
  readonly at: number;
  readonly message: string;
}

/** The answers in memory that are to be vouched for. */
export interface Kept {
  /** The host's time, in ms, of the oldest of them. */
  readonly since: number;
  /** The nodes that they are about. */
  readonly nodes: readonly string[];
}

/** Where news comes from: the cluster's log, its task list, or nowhere, by what the credentials may see. */
export type NewsSource = "log" | "tasks" | "none";

/** By what the credentials may do: ACL path → privileges. */
export function newsSource(permissions: ReadonlyMap<string, readonly string[]>): NewsSource {
  const held = permissions.get("/") ?? [];
  if (held.includes("Sys.Syslog")) return "log";
  return held.includes("Sys.Audit") ? "tasks" : "none";
}

const maxLines = 500;
/** pmxcfs keeps 128 KiB of lines; what holds less than half of that has lost none. PVE: pmxcfs logger.c */
const roomyBytes = 64 * 1024;
/** What a line takes beside its text, at least. */
const lineBytes = 60;
/** PVE lists at most this many tasks of a node. */
const maxTasks = 25;
/** Nodes' clocks differ: an answer reaches back to a moment only if it reaches this much further, in ms. */
const skewMs = 15_000;

/** What is new since the last time it was asked, in the cheapest form that the credentials allow: one request. */
export class News {
  readonly #verbs: Verbs;
  readonly #cluster: Cluster;
  /** Node → the last uid of its log that was seen. */
  readonly #lastUid = new Map<string, number>();
  /** The lines of the log that were seen last, and when the newest of them was written, in ms by the host's clock. */
  #seen: { readonly lines: ReadonlySet<string>; readonly until: number } | undefined;
  /** Tasks that were seen ended, by node. */
  #ended = new Map<string, ReadonlySet<string>>();
  /** Log: UPIDs that were seen to begin and not yet to end. */
  readonly #running = new Map<string, Happening>();
  /** Log: of these UPIDs, which were seen to begin, the end may have been missed. */
  readonly #doubted: string[] = [];
  /** When it was asked for the last time, in ms by the host's clock. What is new since has happened since. */
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(verbs: Verbs, cluster: Cluster) {
    this.#verbs = verbs;
    this.#cluster = cluster;
  }

  /**
   * What has happened since the last call, and what still runs. What a source can't reach back to comes out as a happening of its
   * whole node.
   */
  async read(call: Call, kept: Kept): Promise<readonly Happening[]> {
    const source = newsSource(await this.#cluster.permissions(call));
    if (source === "none") return [];
    const beganAt = this.#verbs.clock.now();
    const happenings =
      source === "tasks"
        ? this.#fromTasks(await this.#verbs.live(call, recentTasksQuestion), kept)
        : this.#fromLog(await this.#verbs.live(call, logQuestion), kept);
    this.#askedAt = beganAt + this.#verbs.hostAheadMs;
    await this.#lookAfter(this.#doubted.splice(0), call);
    return [...happenings, ...this.#running.values()];
  }

  #fromLog(lines: readonly LogLine[], kept: Kept): readonly Happening[] {
    const happenings: Happening[] = [];
    const unseen = lines.filter((line) => !this.#seen?.lines.has(idOf(line)));
    const reaches = unseen.length === 0 || this.#reaches(lines, kept);
    const nodes = byNode(unseen);
    for (const node of new Set([...nodes.keys(), ...kept.nodes])) {
      const own = nodes.get(node) ?? [];
      if (!this.#continues(node, own, reaches)) {
        happenings.push(missed(node));
        this.#doubted.push(...this.#runningOn(node));
      }
      for (const line of own) this.#take(line, happenings);
      const last = own.at(-1);
      if (last) this.#lastUid.set(node, last.uid);
    }
    const until = Math.max(this.#seen?.until ?? 0, ...lines.map(({ at }) => at));
    this.#seen = { lines: new Set(lines.map(idOf)), until };
    return happenings;
  }

  /** The line that told the end of one of these may be among those that were missed. */
  async #lookAfter(upids: readonly string[], call: Call): Promise<void> {
    await Promise.all(
      upids.map(async (upid) => {
        if (this.#running.has(upid) && !(await this.#stillRuns(upid, call)))
          this.#running.delete(upid);
      }),
    );
  }

  /** PVE: GET /nodes/{node}/tasks/{upid}/status. A task that nobody tells of is not waited for. */
  async #stillRuns(upid: string, call: Call): Promise<boolean> {
    try {
      const task = parseUpid(upid);
      return (
        task !== undefined &&
        (await this.#verbs.live(call, statusQuestion(task))).state === "running"
      );
    } catch (error) {
      if (!isProblem(error)) throw error;
      return isProblem(error, "unreachable", "timeout");
    }
  }

  /** Whether an answer holds all that was written since the last one, or since the oldest answer in memory was asked for. */
  #reaches(lines: readonly LogLine[], { since }: Kept): boolean {
    const bytes = lines.reduce((sum, { message }) => sum + message.length + lineBytes, 0);
    if (lines.length < maxLines && bytes < roomyBytes) return true;
    const back = Math.min(...lines.map(({ at }) => at));
    return this.#seen ? back + skewMs <= this.#seen.until : back < since;
  }

  /** With uids that count up per node, what was missed is known exactly. */
  #continues(node: string, unseen: readonly LogLine[], reaches: boolean): boolean {
    const last = this.#lastUid.get(node);
    const first = unseen[0]?.uid;
    if (last === undefined || first === undefined) return reaches;
    // A host that has booted counts from 1 again, and its workers are gone, with what it wrote before if it is alone.
    if (first <= last) for (const upid of this.#runningOn(node)) this.#running.delete(upid);
    return first === last + 1;
  }

  #runningOn(node: string): readonly string[] {
    return [...this.#running.keys()].filter((upid) => parseUpid(upid)?.node === node);
  }

  /** A task that has begun touches what it works on at every look until it has ended. */
  #take(line: LogLine, happenings: Happening[]): void {
    // A node's clock may lag: what was not there at the last look has been written since.
    const happening = happeningOf(line.message, Math.max(line.at, this.#askedAt));
    if (!happening) return;
    const upid = /UPID:\S+:/.exec(line.message)?.[0] ?? "";
    if (happening.endedAt === undefined) this.#running.set(upid, happening);
    else {
      this.#running.delete(upid);
      happenings.push(happening);
    }
    // A task whose end was lost with its host would run for ever.
    if (this.#running.size > 1_000) this.#running.clear();
  }

  #fromTasks(tasks: readonly ListedTask[], { since }: Kept): readonly Happening[] {
    const happenings: Happening[] = [];
    const ended = new Map<string, Set<string>>();
    for (const [node, own] of byNode(tasks)) {
      const known = this.#ended.get(node);
      const finished = own.filter((task) => task.endedAt !== undefined);
      const reaches =
        own.length < maxTasks ||
        finished.some(({ upid, endedAt = 0 }) => (known ? known.has(upid) : endedAt <= since));
      if (!reaches) happenings.push(missed(node));
      for (const task of own) {
        const parsed = parseUpid(task.upid);
        if (!parsed || known?.has(task.upid)) continue;
        // A node's clock may lag: what had not ended at the last look has ended since.
        const endedAt = task.endedAt && Math.max(task.endedAt, this.#askedAt);
        happenings.push(happeningOfTask(parsed, endedAt));
      }
      ended.set(node, new Set(finished.map((task) => task.upid)));
    }
    this.#ended = ended;
    return happenings;
  }
}

/** More has happened on a node than was answered: nothing that is known of it can be vouched for. */
function missed(node: string): Happening {
  return { touches: [tags.onNode(node), tags.anyContent], endedAt: undefined, unsettles: false };
}

function idOf({ node, uid, at }: LogLine): string {
  return `${node} ${uid} ${at}`;
}

/** In their order within a node. */
function byNode<T extends { readonly node: string }>(
  items: readonly T[],
): ReadonlyMap<string, T[]> {
  const nodes = new Map<string, T[]>();
  for (const item of items) {
    const own = nodes.get(item.node);
    if (own) own.push(item);
    else nodes.set(item.node, [item]);
  }
  return nodes;
}

/** PVE: GET /cluster/log, of everyone where the credentials have Sys.Syslog on / */
const logQuestion: Question<readonly LogLine[]> = {
  path: path`/cluster/log`,
  params: { max: maxLines },
  freshness: fresh("never"),
  parse: (data) =>
    records(data)
      .map((row) => ({
        node: text(row["node"]) ?? "",
        uid: number(row["uid"]) ?? 0,
        at: (number(row["time"]) ?? 0) * 1000,
        message: text(row["msg"]) ?? "",
      }))
      .sort((a, b) => a.at - b.at || a.uid - b.uid),
};
