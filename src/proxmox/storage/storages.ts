import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, record, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import { type Inventory, isOffline, type StorageRow } from "../cluster/inventory.ts";
import { knownNode } from "../cluster/known-nodes.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { isSilence } from "../cluster/silence.ts";
import { hidden, notThere, offline } from "./storage-problems.ts";
import { contentQuestion, type Volume } from "./volumes.ts";

/** A storage as the inventory shows it: a shared one once, a local one for each node that has it. */
export interface ListedStorage {
  readonly row: StorageRow;
  /** `available`, `offline` with its node, or what PVE says (`unknown`: it does not answer, or has not been asked yet). */
  readonly status: string;
  /** Where a shared storage is not everywhere. */
  readonly nodes?: readonly string[];
}

/** A node that could not be asked for what it holds. */
export interface Unasked {
  readonly node: string;
  readonly problem: Problem;
}

/** A storage that could not be read; `node` where others have it too, or where that node is why. */
export interface UnaskedStorage {
  readonly storage: string;
  readonly node?: string;
  readonly problem: Problem;
}

export interface Content {
  readonly volumes: readonly Volume[];
  readonly unasked: readonly Unasked[];
}

/** The same of one among several storages; `answered`: by any node. */
export interface PartialContent {
  readonly volumes: readonly Volume[];
  readonly unasked: readonly UnaskedStorage[];
  readonly answered: boolean;
}

/** A storage and the nodes that can be asked for it, the best first; `away` have it but are offline. */
export interface Place {
  readonly storage: string;
  readonly shared: boolean;
  readonly content: readonly string[];
  readonly rows: readonly StorageRow[];
  readonly away: readonly string[];
}

/** Storages and what they hold. PVE: /storage, /nodes/{node}/storage/{storage} */
export class Storages {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
  }

  /** Every storage of the cluster, out of the inventory: no request where that is fresh. Throws `not_found` for an unknown node. */
  async list(
    filter: { readonly node?: string | undefined; readonly content?: string | undefined },
    call: Call,
  ): Promise<readonly ListedStorage[]> {
    if (filter.node !== undefined) await knownNode(this.#lookup, filter.node, call);
    const inventory = await this.#lookup.inventory(call);
    const rows = inventory.storages.filter(
      (row) =>
        (filter.node === undefined || row.node === filter.node) &&
        (filter.content === undefined || row.content.includes(filter.content)),
    );
    const listed = [
      ...sharedOnes(rows, inventory),
      ...rows
        .filter((row) => !row.shared)
        .map((row) => ({ row, status: statusOf(row, inventory) })),
    ];
    return listed.sort((a, b) => byName(a.row, b.row));
  }

  /**
   * What a storage holds: a shared one is asked once, a local one on every node that is online (or on `node`). One that can't be asked
   * is told beside the rest; throws its problem where none can, and what `place` throws.
   */
  async content(
    storage: string,
    options: { readonly node?: string | undefined; readonly live?: boolean },
    call: Call,
  ): Promise<Content> {
    const place = await this.place(storage, options.node, call);
    const { answered, ...content } = await this.#read(place, options.live ?? false, call);
    const last = content.unasked.at(-1);
    if (!answered && last) throw last.problem;
    return content;
  }

  /** The same for who reads many: where none can be asked, that is told as well. Throws `not_found`, and `conflict` where it is disabled. */
  async partialContent(storage: string, call: Call): Promise<PartialContent> {
    const place = await this.#find(storage, undefined, call);
    const { unasked, ...content } = await this.#read(place, false, call);
    const of = ({ node, problem }: Unasked) =>
      // Through which node a shared one was asked says nothing, unless it is the node that is silent.
      ({ storage, ...(!place.shared || isSilence(problem) ? { node } : {}), problem });
    return { ...content, unasked: unasked.map(of) };
  }

  async #read(
    { shared, rows, away }: Place,
    live: boolean,
    call: Call,
  ): Promise<Content & { readonly answered: boolean }> {
    const read = async (row: StorageRow) => settled(row, this.#volumes(row, live, call));
    const answers = shared ? await throughOne(rows, read) : await Promise.all(rows.map(read));
    const volumes = answers.flatMap((answer) => ("problem" in answer ? [] : answer.volumes));
    const failed = answers.flatMap((answer) => ("problem" in answer ? [answer] : []));
    const answered = failed.length < answers.length;
    if (shared && answered) return { volumes, unasked: [], answered };
    const offlineOnes = away.map((node) => ({ node, problem: offline(node) }));
    return { volumes, unasked: [...offlineOnes, ...failed], answered };
  }

  /**
   * Where a storage can be reached. Throws `not_found` with the closest names, `conflict` where it is disabled or all its nodes are
   * offline, and for a `node` that does not have it.
   */
  async place(storage: string, node: string | undefined, call: Call): Promise<Place> {
    const place = await this.#find(storage, node, call);
    if (place.rows.length === 0) throw offline(place.away.join(", "));
    return place;
  }

  /** The same, also where all its nodes are offline. */
  async #find(storage: string, node: string | undefined, call: Call): Promise<Place> {
    const inventory = await this.#lookup.inventory(call);
    const all = inventory.storages.filter((row) => row.storage === storage);
    const [first] = all;
    if (!first) throw await this.#missing(storage, inventory, call);
    const wanted = all.filter((row) => node === undefined || row.node === node);
    if (wanted.length === 0) throw notThere(storage, node ?? "", all, inventory);
    const online = wanted.filter((row) => !isOffline(inventory, row.node));
    const { shared, content } = first;
    const away = wanted.filter((row) => isOffline(inventory, row.node)).map((row) => row.node);
    return { storage, shared, content, rows: online.toSorted(availableFirst), away };
  }

  /** Whether a node can use it at this moment. Throws `conflict` where it is disabled or does not answer. */
  async assertActive(storage: string, node: string, call: Call): Promise<void> {
    const { enabled, active } = await this.#verbs.live(call, statusQuestion(storage, node));
    if (enabled && active) return;
    const how = enabled ? `is not available on ${node}: it does not answer` : "is disabled";
    throw new Problem("conflict", `Storage ${storage} ${how}. Nothing was sent.`, {
      next: enabled
        ? "Try again when its server answers, or use another storage (list_storage)."
        : "Enable it first, or use another storage (list_storage).",
      facts: { storage, node },
    });
  }

  #volumes(row: StorageRow, live: boolean, call: Call): Promise<readonly Volume[]> {
    const question = contentQuestion(row);
    return live ? this.#verbs.live(call, question) : this.#verbs.observe(call, question);
  }

  /** A disabled storage is in no inventory, but among the definitions. */
  async #missing(storage: string, inventory: Inventory, call: Call): Promise<Problem> {
    const definitions = await this.#verbs.observe(call, definitionsQuestion);
    const definition = definitions.find((one) => one.storage === storage);
    if (definition && !definition.disabled) return hidden(storage, this.#verbs.api.principal);
    if (definition) {
      return new Problem("conflict", `Storage ${storage} is disabled. Nothing was sent.`, {
        next: "Enable it first, or use another storage (list_storage).",
        facts: { storage },
      });
    }
    const names = [...new Set(inventory.storages.map((row) => row.storage))];
    const near = closest(storage, names, 3);
    const hint = near.length === 0 ? "" : ` Closest: ${near.join(", ")}.`;
    return new Problem("not_found", `There is no storage "${storage}".${hint}`, {
      next:
        names.length === 0
          ? "These credentials see no storage at all: get_connection_status says what they may do."
          : "list_storage names them all.",
      facts: { storage, closest: near },
    });
  }
}

/** PVE: GET /nodes/{node}/storage/{storage}/status */
function statusQuestion(storage: string, node: string) {
  return {
    path: path`/nodes/${node}/storage/${storage}/status`,
    freshness: fresh("storageContent", tags.storageContent(storage), tags.anyContent),
    parse: (data: unknown) => {
      const wire = record(data);
      return { enabled: flag(wire["enabled"]) ?? true, active: flag(wire["active"]) ?? false };
    },
  };
}

/** PVE: GET /storage: the definitions, disabled ones too. */
const definitionsQuestion: Question<
  readonly { readonly storage: string | undefined; readonly disabled: boolean }[]
> = {
  path: path`/storage`,
  freshness: fresh("storageContent", tags.cluster),
  parse: (data) =>
    records(data).map((wire) => ({
      storage: text(wire["storage"]),
      disabled: flag(wire["disable"]) ?? false,
    })),
};

function sharedOnes(rows: readonly StorageRow[], inventory: Inventory): ListedStorage[] {
  const names = new Set(rows.filter((row) => row.shared).map((row) => row.storage));
  return [...names].flatMap((name) => {
    const own = rows.filter((row) => row.storage === name);
    const best = own.toSorted(availableFirst).find((row) => !isOffline(inventory, row.node));
    const row = best ?? own[0];
    if (!row) return [];
    const everywhere = inventory.storages.filter(({ storage }) => storage === name);
    const limited = everywhere.length < inventory.nodes.size;
    const nodes = limited ? { nodes: everywhere.map((one) => one.node).sort() } : {};
    return [{ row, status: statusOf(row, inventory), ...nodes }];
  });
}

function statusOf(row: StorageRow, inventory: Inventory): string {
  return isOffline(inventory, row.node) ? "offline" : row.status;
}

function byName(a: StorageRow, b: StorageRow): number {
  return `${a.storage} ${a.node}` < `${b.storage} ${b.node}` ? -1 : 1;
}

function availableFirst(a: StorageRow, b: StorageRow): number {
  const rank = (row: StorageRow) => `${row.status === "available" ? 0 : 1} ${row.node}`;
  return rank(a) < rank(b) ? -1 : 1;
}

/** What a node has answered, or why it has not. */
type Settled = { readonly volumes: readonly Volume[] } | Unasked;

/** A shared storage looks the same through every node: the next one is asked only where the first can't be reached. */
async function throughOne(
  [first, second]: readonly StorageRow[],
  read: (row: StorageRow) => Promise<Settled>,
): Promise<readonly Settled[]> {
  if (!first) return [];
  const answer = await read(first);
  if (!second || !("problem" in answer) || !isSilence(answer.problem)) return [answer];
  return [answer, await read(second)];
}

async function settled(row: StorageRow, answer: Promise<readonly Volume[]>): Promise<Settled> {
  try {
    return { volumes: await answer };
  } catch (error) {
    if (!isProblem(error) || error.kind === "cancelled") throw error;
    return { node: row.node, problem: error };
  }
}
