import { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { type Inventory, isOffline, type NodeRow } from "../cluster/inventory.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { freeOf, hasRoom, noRoom, type Space } from "../storage/room.ts";
import type { Place, Storages } from "../storage/storages.ts";
import { storageOf } from "../storage/volumes.ts";
import { missing, noVolid, owned } from "./placement-problems.ts";

/** What a new guest needs of its node. `argument`: what has named it, for messages. */
export interface Demand {
  /** The one that was named. */
  readonly node?: string | undefined;
  readonly memoryMib: number;
  /** Only a plan: nothing will be placed. */
  readonly dryRun?: boolean | undefined;
  readonly storages: readonly Needed[];
  /** Files that have to be there. */
  readonly volumes: readonly Wanted[];
}

interface Wanted {
  readonly volid: string;
  readonly argument: string;
  /** To be used as it is, not copied: then it must be nobody's. */
  readonly attach?: boolean;
}

interface Needed extends Space {
  /** `images`, `rootdir`, `vztmpl` … */
  readonly content: string;
}

export interface Placed {
  readonly node: string;
  /** Why this one; where it was named, only what is short there. */
  readonly says?: string;
  /** It came to nothing: it counts there no more. */
  readonly release: () => void;
}

/** What was placed somewhere counts there for this long, until figures show it. */
const placedMs = 60_000;
const mib = 1024 ** 2;
const askForLess = "Ask for less, or use another storage (list_storage shows what is free).";

/** Chooses nodes for new guests: among those online that have what is needed, the one with the most free memory. */
export class Placement {
  readonly #lookup: Lookup;
  readonly #storages: Storages;
  readonly #now: () => number;
  #placed: readonly { readonly node: string; readonly bytes: number; readonly at: number }[] = [];

  constructor(lookup: Lookup, storages: Storages, now: () => number) {
    this.#lookup = lookup;
    this.#storages = storages;
    this.#now = now;
  }

  /**
   * Throws `not_found` for nodes, storages and files that are not there, `invalid_input` for a storage that does not hold what it
   * should, `conflict` where no node has everything, or room for it. A node that was named may be short of memory, and a storage
   * there of space: PVE overcommits both.
   */
  async choose(demand: Demand, call: Call): Promise<Placed> {
    const inventory = await this.#lookup.inventory(call);
    if (demand.node !== undefined) assertNode(demand.node, inventory);
    const sets = await Promise.all([
      ...demand.storages.map((needed) => this.#having(needed, demand.node, call)),
      ...demand.volumes.map((volume) => this.#holding(volume, demand.node, call)),
    ]);
    const online = [...inventory.nodes.values()].filter(
      ({ node }) =>
        !isOffline(inventory, node) && (demand.node === undefined || node === demand.node),
    );
    const fitting = online.filter(({ node }) => sets.every((set) => set.has(node)));
    const [best] = fitting.toSorted((a, b) => this.#free(b) - this.#free(a) || byName(a, b));
    if (!best) throw nowhere(demand);
    const { node } = best;
    const short = this.#short(best, demand);
    if (short !== undefined && demand.node === undefined) throw tooLarge(demand, short, node);
    const says = this.#why(best, fitting.length);
    const release = demand.dryRun ? () => undefined : this.#reserve(node, demand.memoryMib);
    if (demand.node === undefined) return { node, says, release };
    const lacks = [...(short === undefined ? [] : [short]), ...this.#full(demand, inventory)];
    return {
      node,
      release,
      ...(lacks.length > 0 && { says: `${node}, but ${lacks.join(", and ")}` }),
    };
  }

  /** How little memory is free there, where that is less than is needed. */
  #short(row: NodeRow, { memoryMib }: Demand): string | undefined {
    const seen = row.memoryBytes !== undefined && row.memoryUsedBytes !== undefined;
    const free = this.#free(row);
    if (!seen || free >= memoryMib * mib) return undefined;
    return `only ${bytes(Math.max(0, free))} of memory are free there`;
  }

  /** Storages of the named node that have less space than is needed. */
  #full({ node, storages }: Demand, inventory: Inventory): readonly string[] {
    return storages.flatMap(({ storage, sizeBytes = 0 }) => {
      const row = inventory.storages.find((one) => one.storage === storage && one.node === node);
      const free = row && freeOf(row);
      if (free === undefined || free >= sizeBytes) return [];
      return [`only ${bytes(free)} are free on ${storage}`];
    });
  }

  /** A guest is being placed there whose memory no figure shows yet. */
  #reserve(node: string, memoryMib: number): () => void {
    const now = this.#now();
    const young = this.#placed.filter(({ at }) => now - at < placedMs);
    const own = { node, bytes: memoryMib * mib, at: now };
    this.#placed = [...young, own];
    return () => {
      this.#placed = this.#placed.filter((one) => one !== own);
    };
  }

  async #having(needed: Needed, node: string | undefined, call: Call) {
    const place = await this.#storages.place(needed.storage, node, call);
    if (!place.content.includes(needed.content)) {
      throw await this.#wrongContent(place, needed, call);
    }
    const available = place.rows.filter(({ status }) => status === "available");
    const roomy = available.filter((row) => hasRoom(row, needed, node !== undefined));
    if (roomy.length > 0) return new Set(roomy.map((row) => row.node));
    if (available.length > 0) throw noRoom(needed, available, askForLess);
    throw new Problem("conflict", `Storage ${place.storage} is not available. Nothing was sent.`, {
      next: "Try again when it answers, or use another storage (list_storage).",
      facts: { argument: needed.argument, storage: place.storage },
    });
  }

  async #wrongContent(place: Place, { content, argument }: Needed, call: Call): Promise<Problem> {
    const { storage } = place;
    const names = await this.holders(content, call);
    const others = names.length === 0 ? "none does" : `${names.slice(0, 5).join(", ")} do`;
    return new Problem(
      "invalid_input",
      `Storage ${storage} does not hold ${content}, only ${place.content.join(", ")}. Nothing was sent.`,
      {
        next: `Use a storage that holds it (${others}), or add the content type to this one.`,
        facts: { argument, storage, content, storages: names },
      },
    );
  }

  /** The storages that hold a kind of content, on one node or anywhere, in the order of their names. */
  async holders(content: string, call: Call, node?: string): Promise<readonly string[]> {
    const listed = await this.#storages.list({ content, node }, call);
    const usable = listed.filter(({ status }) => status === "available");
    return [...new Set(usable.map(({ row }) => row.storage))];
  }

  /** The storages of a node for a kind of content. Throws `conflict` where it has none; `argument`: what would name one. */
  async storagesFor(
    needed: { readonly content: string; readonly argument: string; readonly node: string },
    call: Call,
  ): Promise<readonly string[]> {
    const { content, argument, node } = needed;
    const names = await this.holders(content, call, node);
    if (names.length > 0) return names;
    throw new Problem("conflict", `No storage of ${node} holds ${content}. Nothing was sent.`, {
      next: `Add the content type ${content} to a storage, or name one as ${argument} that has it.`,
      facts: { argument, node, content },
    });
  }

  async #holding(
    { volid, argument, attach = false }: Wanted,
    node: string | undefined,
    call: Call,
  ): Promise<ReadonlySet<string>> {
    const storage = storageOf(volid);
    if (storage === undefined) throw noVolid(volid, argument);
    const { volumes } = await this.#storages.content(storage, { node, live: true }, call);
    const found = volumes.filter((volume) => volume.volid === volid);
    if (found.length === 0) {
      throw missing(
        volid,
        argument,
        volumes.map((volume) => volume.volid),
      );
    }
    const owner = found[0]?.vmid;
    if (attach && owner !== undefined) throw owned(volid, owner, argument);
    if (!found[0]?.shared) return new Set(found.map((volume) => volume.node));
    const { rows } = await this.#storages.place(storage, node, call);
    return new Set(rows.map((row) => row.node));
  }

  #free({ node, memoryBytes, memoryUsedBytes = 0 }: NodeRow): number {
    if (memoryBytes === undefined) return 0;
    const now = this.#now();
    const placed = this.#placed.filter((one) => one.node === node && now - one.at < placedMs);
    return memoryBytes - memoryUsedBytes - placed.reduce((sum, one) => sum + one.bytes, 0);
  }

  #why(row: NodeRow, among: number): string {
    const { node, memoryUsedBytes } = row;
    if (among === 1) return `${node} is the only node online that has what it needs`;
    const unseen = memoryUsedBytes === undefined;
    if (unseen) return `${node} is the first of ${among} nodes; their free memory can't be seen`;
    const free = bytes(Math.max(0, this.#free(row)));
    return `of ${among} nodes that have what it needs, ${node} has the most free memory (${free})`;
  }
}

function tooLarge({ memoryMib }: Demand, short: string, node: string): Problem {
  const message = `No node that has what it needs has ${memoryMib} MiB of memory free; ${node} has the most, and ${short}. Nothing was sent.`;
  return new Problem("conflict", message, {
    next: "Ask for less memory; or name the node, if it may have more than is free.",
    facts: { argument: "memory", node },
  });
}

function byName(a: NodeRow, b: NodeRow): number {
  return a.node < b.node ? -1 : 1;
}

function assertNode(node: string, inventory: Inventory): void {
  if (!inventory.nodes.has(node)) {
    const nodes = [...inventory.nodes.keys()].sort();
    throw new Problem("not_found", `There is no node "${node}".`, {
      next: `Use one of these, or leave node out: ${nodes.slice(0, 10).join(", ")}.`,
      facts: { node, nodes },
    });
  }
  if (!isOffline(inventory, node)) return;
  throw new Problem("unreachable", `Node ${node} is offline. Nothing was sent.`, {
    next: "Leave node out to have another chosen, or try again when it is back (get_cluster).",
    facts: { node },
  });
}

function nowhere({ node, storages, volumes }: Demand): Problem {
  const names = [...storages.map(({ storage }) => storage), ...volumes.map(({ volid }) => volid)];
  const all = [...new Set(names)].join(" and ");
  const who = node === undefined ? "No node that is online has" : `Node ${node} does not have`;
  return new Problem("conflict", `${who} ${all} at hand. Nothing was sent.`, {
    next: "Use storages that a node shares with the others (list_storage), or bring the file there first (download_storage).",
    facts: { storages: names },
  });
}
