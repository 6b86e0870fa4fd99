import type { Reader } from "../../cache/reading.ts";
import type { Tag } from "../../cache/store.ts";
import { outcome } from "../../each.ts";
import { Call } from "../api/call.ts";
import { nodeOf } from "../api/freshness.ts";
import type { Verbs } from "../api/verbs.ts";
import { rowSettlesMs } from "../tasks/activity.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { Cluster } from "./cluster.ts";
import type { Happening } from "./happenings.ts";
import { type Kept, News, type NewsSource, newsSource } from "./news.ts";

/** Nodes' clocks and ours differ a little, and a task's last effects follow its end: news older than this is old. */
const settleMs = 15_000;
/** Rows do not wait for longer than this for what happened: whoever wants only them gets them, and nothing is vouched for. */
const newsMs = 5_000;
/** Marks beyond this are forgotten, which only makes news count that may be old. */
const maxMarks = 50_000;

/**
 * Asks once for the whole connection whether anything happened: a new inventory (compared with the one before) and one read of
 * what happened. What was touched is invalidated, the rest is trusted again as of the sweep's beginning. At most one every 10 s.
 */
export class Sweep {
  readonly #verbs: Verbs;
  readonly #news: News;
  readonly #tasks: Tasks;
  readonly #inventory: (call: Call) => Promise<unknown>;
  /** Tag → the host's time, in ms, of the oldest answer that carries it and may be vouched for. */
  readonly #marks = new Map<Tag, number>();

  constructor(
    verbs: Verbs,
    cluster: Cluster,
    tasks: Tasks,
    rows: { liveInventory(call: Call): Promise<unknown> },
  ) {
    this.#verbs = verbs;
    this.#tasks = tasks;
    this.#news = new News(verbs, cluster);
    this.#inventory = (call) => rows.liveInventory(call);
    verbs.onKept = (tags, askedAt) => this.#mark(tags, askedAt);
    verbs.cache.onInvalidate.push((tags) => {
      for (const tag of tags) this.#marks.delete(tag);
    });
    verbs.cache.sweepWith((reader) => this.run(reader));
  }

  /** Whether any answer could be vouched for; without one an inventory alone is all that is needed. */
  get isWorthwhile(): boolean {
    return this.#marks.size > 0;
  }

  /** Where sweeps learn what happened, with these privileges (ACL path → privileges). */
  newsBy(permissions: ReadonlyMap<string, readonly string[]>): NewsSource {
    return newsSource(permissions);
  }

  /** Sweeps unless one began while an inventory is trusted (10 s unless set); joins one under way. Answers whether it had to wait for one. */
  async run(reader: Reader): Promise<boolean> {
    let waited = false;
    const { trustedMs } = this.#verbs.ages.inventory;
    const waiting: Reader = {
      signal: reader.signal,
      maxAgeMs: undefined,
      sent: () => reader.sent(),
      note: (part) => {
        waited = part.source === "live";
        if (waited) reader.note({ ...part, source: "swept" });
      },
    };
    await this.#verbs.cache.read(
      "sweep",
      { trustedMs, keptMs: trustedMs, tags: [] },
      waiting,
      async (signal) => {
        await this.#sweep(reader, signal);
        return { value: true, bytes: 1 };
      },
    );
    return waited;
  }

  async #sweep(payer: Reader, signal: AbortSignal): Promise<void> {
    const { clock } = this.#verbs;
    const late = new AbortController();
    const done = new AbortController();
    const call = callFor(payer, signal);
    const beganAt = clock.now();
    // What is news is told once: it is acted on at once, or a sweep that overtakes this one would vouch for what it concerns.
    const patient = callFor(payer, AbortSignal.any([signal, late.signal]));
    const news = this.#news.read(patient, this.#kept()).then((happenings) => {
      this.#settle(happenings);
      return this.#verbs.cache.invalidate([...this.#touched(happenings)]);
    });
    const tooLate = () => late.abort(new Error("news came too late"));
    clock.sleep(newsMs, { signal: done.signal, background: true }).then(tooLate, () => undefined); // rejected: they were in time
    const [read] = await Promise.all([
      outcome(news).finally(() => done.abort()),
      this.#inventory(call),
    ]);
    // Without news nothing is vouched for: every answer goes by its own age, and asks for itself.
    if (!read.ok) return;
    this.#verbs.cache.vouch(beganAt);
  }

  #kept(): Kept {
    let since = Number.POSITIVE_INFINITY;
    for (const mark of this.#marks.values()) since = Math.min(since, mark);
    const nodes = [...this.#marks.keys()].map(nodeOf).filter((node) => node !== undefined);
    return { since, nodes };
  }

  /** What happened long before an answer was fetched is in it already. */
  #touched(happenings: readonly Happening[]): ReadonlySet<Tag> {
    const touched = new Set<Tag>();
    for (const { touches, endedAt } of happenings) {
      for (const tag of touches) {
        const mark = this.#marks.get(tag);
        const old = endedAt !== undefined && mark !== undefined && endedAt + settleMs <= mark;
        if (!old) touched.add(tag);
      }
    }
    return touched;
  }

  /** Rows lag behind what runs or has just ended, whoever has begun it. */
  #settle(happenings: readonly Happening[]): void {
    const now = this.#verbs.clock.now();
    for (const { touches, endedAt, unsettles } of happenings) {
      if (!unsettles) continue;
      // The log tells whole seconds.
      const ended = endedAt === undefined ? now : endedAt + 1_000 - this.#verbs.hostAheadMs;
      if (ended + rowSettlesMs <= now) continue;
      for (const tag of touches) this.#tasks.settling(tag, Math.min(ended, now) + rowSettlesMs);
    }
  }

  #mark(tags: readonly Tag[], askedAt: number): void {
    if (this.#marks.size > maxMarks) this.#marks.clear();
    for (const tag of tags) {
      this.#marks.set(tag, Math.min(this.#marks.get(tag) ?? Number.POSITIVE_INFINITY, askedAt));
    }
  }
}

function callFor(payer: Reader, signal: AbortSignal): Call {
  const call = new Call({ signal });
  call.sent = () => payer.sent();
  return call;
}
