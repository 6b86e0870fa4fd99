import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { number, records } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import type { GuestRow, NodeRow, StorageRow } from "./inventory.ts";
import type { Lookup } from "./lookup.ts";
import {
  type Figures,
  figures,
  type Gap,
  gaps,
  type Metric,
  metrics,
  type Point,
  points,
  type Sample,
} from "./metric-figures.ts";

export const timeframes = ["hour", "day", "week", "month", "year"] as const;
export type Timeframe = (typeof timeframes)[number];

/** Exactly one of the three; a storage may be asked for on one node. */
export interface MetricsOrder {
  readonly guest?: string | undefined;
  readonly node?: string | undefined;
  readonly storage?: string | undefined;
  readonly timeframe: Timeframe;
}

/** What was recorded of a guest, a node or a storage. */
export interface Recorded {
  readonly guest?: GuestRow;
  readonly node: string;
  readonly storage?: string;
  /** Of the first and the last value, in ms, and the time from one to the next. */
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  readonly samples: number;
  readonly figures: readonly Figures[];
  /** Their values are in the order of `names`. */
  readonly points: readonly Point[];
  readonly names: readonly Metric[];
  readonly gaps: readonly Gap[];
}

/** Where figures are asked for, and which are meant. */
interface Subject {
  readonly of: Pick<Recorded, "guest" | "node" | "storage">;
  readonly path: Question<unknown>["path"];
  readonly tag: string;
  readonly metrics: readonly Metric[];
}

interface Place {
  readonly shared: boolean;
  readonly rows: readonly StorageRow[];
}

interface Parts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  /** The node of that name; throws not_found. */
  readonly node: (name: string, call: Call) => Promise<NodeRow>;
  /** Where that storage can be reached, the best node first; throws not_found. */
  readonly place: (storage: string, node: string | undefined, call: Call) => Promise<Place>;
}

/** What pvestatd has recorded, once a minute. PVE: GET …/rrddata of nodes, guests and storages */
export class Metrics {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Throws `invalid_input` unless exactly one thing is named, `not_found` and `ambiguous` for what is meant by it, `forbidden`
   * where these credentials may not look at it.
   */
  async of(order: MetricsOrder, call: Call): Promise<Recorded> {
    const subject = await this.#subject(order, call);
    const { timeframe } = order;
    const [samples, peaks] = await Promise.all([
      this.#read(subject, timeframe, "AVERAGE", call),
      // Up to a day each value is of one minute; beyond that averages hide what was greatest.
      timeframe === "hour" || timeframe === "day"
        ? undefined
        : this.#read(subject, timeframe, "MAX", call),
    ]);
    const [first, second] = samples;
    const [main] = subject.metrics;
    const now = this.#parts.verbs.clock.now();
    return {
      ...subject.of,
      from: first?.at ?? now,
      to: samples.at(-1)?.at ?? now,
      stepMs: (second?.at ?? 0) - (first?.at ?? 0),
      samples: samples.length,
      figures: figures(subject.metrics, samples, peaks),
      points: points(subject.metrics, samples),
      names: subject.metrics,
      gaps: main ? gaps(main, samples) : [],
    };
  }

  #read(
    subject: Subject,
    timeframe: Timeframe,
    cf: string,
    call: Call,
  ): Promise<readonly Sample[]> {
    return this.#parts.verbs.observe(call, {
      path: subject.path,
      params: { timeframe, cf },
      freshness: fresh("metrics", subject.tag),
      parse: readSamples,
    });
  }

  async #subject({ guest, node, storage }: MetricsOrder, call: Call): Promise<Subject> {
    const { lookup } = this.#parts;
    if (guest !== undefined && node === undefined && storage === undefined) {
      const { row } = await lookup.guest(guest, "any", call);
      const at = path`/nodes/${row.node}/${row.type}/${row.vmid}/rrddata`;
      const of = { guest: row, node: row.node };
      return { of, path: at, tag: tags.guest(row), metrics: metrics.guest };
    }
    if (guest !== undefined || (node === undefined && storage === undefined)) throw notOne();
    if (storage !== undefined) return this.#storage(storage, node, call);
    const { node: name } = await this.#parts.node(node ?? "", call);
    const at = path`/nodes/${name}/rrddata`;
    return { of: { node: name }, path: at, tag: tags.node(name), metrics: metrics.node };
  }

  /** Every node records a shared storage for itself: any will do. */
  async #storage(storage: string, node: string | undefined, call: Call): Promise<Subject> {
    const { shared, rows } = await this.#parts.place(storage, node, call);
    const [first, ...others] = rows;
    if (!first) throw new TypeError("a place has a node");
    if (!shared && others.length > 0) throw severalNodes(storage, rows);
    const at = path`/nodes/${first.node}/storage/${storage}/rrddata`;
    const of = { node: first.node, storage };
    return { of, path: at, tag: tags.storageContent(storage), metrics: metrics.storage };
  }
}

/** Oldest first. What was not recorded is not there, and numbers may be strings. */
function readSamples(data: unknown): readonly Sample[] {
  return records(data).flatMap(({ time, ...wire }) => {
    const at = number(time);
    if (at === undefined) return [];
    const entries = Object.entries(wire).flatMap(([key, value]) => {
      const read = number(value);
      return read === undefined ? [] : [[key, read] as const];
    });
    return { at: at * 1000, values: Object.fromEntries(entries) };
  });
}

function notOne(): Problem {
  return new Problem("invalid_input", "Give one of guest, node and storage.", {
    next: "node goes with storage where each node has its own of that name.",
    facts: { argument: "guest" },
  });
}

function severalNodes(storage: string, rows: readonly { readonly node: string }[]): Problem {
  const nodes = rows.map((row) => row.node).sort();
  return new Problem(
    "ambiguous",
    `Storage ${storage} is local to each of ${nodes.slice(0, 10).join(", ")}.`,
    { next: "Name one of them as node.", facts: { storage, nodes } },
  );
}
