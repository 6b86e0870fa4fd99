import { path } from "../../http/path.ts";
import { grantWords, roleFor } from "../../http/permission.ts";
import { isProblem, Problem } from "../../problem.ts";
import { closest } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, record, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import { type Inventory, isOffline, type StorageRow } from "../cluster/inventory.ts";
import { knownNode } from "../cluster/known-nodes.ts";
import type { Lookup } from "../cluster/lookup.ts";
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

export interface Content {
  readonly volumes: readonly Volume[];
  readonly unasked: readonly Unasked[];
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
    const read = async (row: StorageRow) => this.#volumes(row, options.live ?? false, call);
    if (place.shared) return { volumes: await throughOne(place.rows, read), unasked: [] };
    const answers = await Promise.all(place.rows.map((row) => settled(row, read(row))));
    const unasked: Unasked[] = place.away.map((node) => ({ node, problem: offline(node) }));
    const volumes: Volume[] = [];
    for (const answer of answers) {
      if ("problem" in answer) unasked.push(answer);
      else volumes.push(...answer.volumes);
    }
    if (unasked[0] && unasked.length === answers.length + place.away.length) {
      throw unasked[0].problem;
    }
    return { volumes, unasked };
  }

  /**
   * Where a storage can be reached. Throws `not_found` with the closest names, `conflict` where it is disabled or all its nodes are
   * offline, and for a `node` that does not have it.
   */
  async place(storage: string, node: string | undefined, call: Call): Promise<Place> {
    const inventory = await this.#lookup.inventory(call);
    const all = inventory.storages.filter((row) => row.storage === storage);
    const [first] = all;
    if (!first) throw await this.#missing(storage, inventory, call);
    const wanted = all.filter((row) => node === undefined || row.node === node);
    if (wanted.length === 0) throw notThere(storage, node ?? "", all, inventory);
    const online = wanted.filter((row) => !isOffline(inventory, row.node));
    if (online.length === 0) throw offline(wanted.map((row) => row.node).join(", "));
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

/** A shared storage looks the same through every node: the next one is asked only where the first can't be reached. */
async function throughOne(
  [first, second]: readonly StorageRow[],
  read: (row: StorageRow) => Promise<readonly Volume[]>,
): Promise<readonly Volume[]> {
  if (!first) return [];
  try {
    return await read(first);
  } catch (error) {
    if (second && isProblem(error, "unreachable", "timeout")) return read(second);
    throw error;
  }
}

async function settled(
  row: StorageRow,
  answer: Promise<readonly Volume[]>,
): Promise<{ readonly volumes: readonly Volume[] } | Unasked> {
  try {
    return { volumes: await answer };
  } catch (error) {
    if (!isProblem(error) || error.kind === "cancelled") throw error;
    return { node: row.node, problem: error };
  }
}

function offline(node: string): Problem {
  return new Problem("unreachable", `Node ${node} is offline.`, {
    next: "Use another node, or try again when it is back (get_cluster).",
    facts: { node },
  });
}

/** It is defined, and no inventory shows it: PVE shows it there to who may look at it only. */
function hidden(storage: string, principal: string): Problem {
  const at = `/storage/${storage}`;
  const privilege = "Datastore.Audit";
  const role = roleFor(privilege);
  return new Problem(
    "forbidden",
    `Storage ${storage} is there, but these credentials may not look at it: that needs ${privilege} on ${at}.`,
    {
      next: grantWords(at, role, principal),
      facts: { storage, path: at, privileges: [privilege], role },
    },
  );
}

function notThere(
  storage: string,
  node: string,
  rows: readonly StorageRow[],
  inventory: Inventory,
): Problem {
  const nodes = rows.map((row) => row.node).sort();
  const what = inventory.nodes.has(node)
    ? `Storage ${storage} is not on ${node}`
    : `There is no node "${node}"`;
  return new Problem("not_found", `${what}; ${storage} is on ${nodes.slice(0, 10).join(", ")}.`, {
    next: "Give one of these as node, or leave node out.",
    facts: { storage, node, nodes },
  });
}
