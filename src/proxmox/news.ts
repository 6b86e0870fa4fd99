import { path } from "../http/path.ts";
import type { Call } from "./call.ts";
import { type Cluster, type ListedTask, recentTasksQuestion } from "./cluster.ts";
import { tags } from "./freshness.ts";
import { type Happening, happeningOf, touchedBy } from "./happenings.ts";
import { number, parseUpid, records, text } from "./values.ts";
import type { Question, Verbs } from "./verbs.ts";

interface LogLine {
  readonly node: string;
  readonly uid: number;
  /** By the host's clock, in ms. */
  readonly at: number;
  readonly message: string;
}

/** Where news comes from: the cluster's log, its task list, or nowhere, by what the credentials may see. */
export type NewsSource = "log" | "tasks" | "none";

const maxLines = 500;
/** PVE lists at most this many tasks of a node. */
const maxTasks = 25;

/** What is new since the last time it was asked, in the cheapest form that the credentials allow: one request. */
export class News {
  readonly #verbs: Verbs;
  readonly #cluster: Cluster;
  /** Node → the last uid of its log that was seen. */
  readonly #lastUid = new Map<string, number>();
  /** Tasks that were seen ended, by node. */
  #ended = new Map<string, ReadonlySet<string>>();
  /** Log: UPIDs that were seen to begin and not yet to end. */
  readonly #running = new Map<string, Happening>();
  #source: NewsSource = "none";

  constructor(verbs: Verbs, cluster: Cluster) {
    this.#verbs = verbs;
    this.#cluster = cluster;
  }

  /** Where the last news came from. */
  get source(): NewsSource {
    return this.#source;
  }

  /**
   * What has happened since the last call, and what still runs. `since`: the host's time, in ms, of the oldest answer that is to be
   * vouched for; what a source can't reach back to comes out as a happening of its whole node.
   */
  async read(call: Call, since: number): Promise<readonly Happening[]> {
    this.#source = await this.#choose(call);
    if (this.#source === "none") return [];
    if (this.#source === "tasks")
      return this.#fromTasks(await this.#verbs.live(call, recentTasksQuestion), since);
    return this.#fromLog(await this.#verbs.live(call, logQuestion), since);
  }

  async #choose(call: Call): Promise<NewsSource> {
    const held = (await this.#cluster.permissions(call)).get("/") ?? [];
    if (held.includes("Sys.Syslog")) return "log";
    return held.includes("Sys.Audit") ? "tasks" : "none";
  }

  #fromLog(lines: readonly LogLine[], since: number): readonly Happening[] {
    const happenings: Happening[] = [];
    for (const [node, own] of byNode(lines)) {
      const last = this.#lastUid.get(node);
      const first = own[0];
      // With uids that count up per node, what was missed is known exactly; the first time, only the times can tell.
      const gap =
        first &&
        (last === undefined ? lines.length >= maxLines && first.at > since : first.uid > last + 1);
      if (gap) happenings.push({ touches: [tags.onNode(node)], endedAt: undefined });
      for (const line of own)
        if (last === undefined || line.uid > last) this.#take(line, happenings);
      this.#lastUid.set(node, Math.max(last ?? 0, own.at(-1)?.uid ?? 0));
    }
    return [...happenings, ...this.#running.values()];
  }

  /** A task that has begun touches what it works on at every look until it has ended. */
  #take(line: LogLine, happenings: Happening[]): void {
    const happening = happeningOf(line.message, line.at);
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

  #fromTasks(tasks: readonly ListedTask[], since: number): readonly Happening[] {
    const happenings: Happening[] = [];
    const ended = new Map<string, Set<string>>();
    for (const [node, own] of byNode(tasks)) {
      const known = this.#ended.get(node);
      const finished = own.filter((task) => task.endedAt !== undefined);
      const reaches =
        own.length < maxTasks ||
        finished.some(({ upid, endedAt = 0 }) => (known ? known.has(upid) : endedAt <= since));
      if (!reaches) happenings.push({ touches: [tags.onNode(node)], endedAt: undefined });
      for (const task of own) {
        const parsed = parseUpid(task.upid);
        if (!parsed || known?.has(task.upid)) continue;
        happenings.push({ touches: touchedBy(parsed), endedAt: task.endedAt });
      }
      ended.set(node, new Set(finished.map((task) => task.upid)));
    }
    this.#ended = ended;
    return happenings;
  }
}

/** Oldest first within a node. */
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
  freshness: { trustedMs: 0, keptMs: 0, tags: [] },
  parse: (data) =>
    records(data)
      .map((row) => ({
        node: text(row["node"]) ?? "",
        uid: number(row["uid"]) ?? 0,
        at: (number(row["time"]) ?? 0) * 1000,
        message: text(row["msg"]) ?? "",
      }))
      .sort((a, b) => a.uid - b.uid),
};
