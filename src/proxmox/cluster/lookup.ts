import { LRUCache } from "lru-cache";
import { path } from "../../http/path.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, guestTags } from "../api/freshness.ts";
import { readConfig } from "../api/guest-config.ts";
import type { GuestId, GuestKind } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { type GuestRow, type Inventory, isOffline } from "./inventory.ts";
import { type Found, learnName, type Names } from "./names.ts";
import { ambiguous, notFound, otherKind } from "./near-miss.ts";
import type { Overlay } from "./overlay.ts";
import { SharedInventory } from "./shared-inventory.ts";
import type { Silence } from "./silence.ts";
import type { Sweep } from "./sweep.ts";

/** Not the inventory itself: an old one would live on in it. */
interface Miss {
  readonly at: number;
  /** Of the inventory that does not have it. */
  readonly beganAt: number;
  /** What was said of it: to look for the closest names goes through all guests. */
  readonly problem: Problem;
}

/** A name missed once is not asked for again for this long, unless a newer inventory has come. */
const missMs = 10_000;
/** An unknown name refreshes an inventory older than this, and at most once in this time. */
const refreshMs = 2_000;
/** Nameless rows whose configurations are read before a name is called unknown. */
const maxNameless = 5;

/** Finds guests by name or vmid in one inventory that serves everyone. PVE: GET /cluster/resources */
export class Lookup {
  readonly names: Names;
  readonly overlay: Overlay;
  readonly #verbs: Verbs;
  readonly #shared: SharedInventory;
  readonly #misses = new LRUCache<string, Miss>({ max: 1_000 });
  /** When a refresh for an unknown name that is under way began, in ms: whoever asks for another meanwhile joins it. */
  #refreshing: number | undefined;

  constructor(verbs: Verbs, names: Names, overlay: Overlay) {
    this.#verbs = verbs;
    this.names = names;
    this.overlay = overlay;
    this.#shared = new SharedInventory(verbs, names, overlay);
  }

  /** Refreshes go by sweeps from now on, where there is anything that a sweep can vouch for. */
  refreshBy(sweep: Sweep): void {
    this.#shared.refreshBy(sweep);
  }

  get silence(): Silence {
    return this.#shared.silence;
  }

  /** The last inventory seen, whatever its age. */
  get last(): Inventory | undefined {
    return this.#shared.last;
  }

  /** The inventory of the whole cluster, as fresh as the call asks, and from after every change of ours. */
  inventory(call: Call): Promise<Inventory> {
    return this.#shared.current(call);
  }

  /** The inventory as it is now. */
  liveInventory(call: Call): Promise<Inventory> {
    return this.#shared.live(call);
  }

  /**
   * The one guest that `reference` means: a name (exactly, else without regard to case) or a vmid.
   * Throws `not_found` with the closest names, `ambiguous` with the candidates, and `invalid_input` when the reference means a
   * guest of the other kind.
   */
  async guest(reference: string, kind: GuestKind, call: Call): Promise<Found> {
    // Whom no change of ours has touched is found in the inventory that there is.
    const inventory = await this.#shared.current(call, (one) =>
      this.#candidates(reference, one).map(({ row }) => row),
    );
    return (
      this.#match(reference, kind, inventory) ??
      (await this.#missing(reference, kind, inventory, call))
    );
  }

  /** PVE has accepted the creation of this guest: it is found by its name at once, though no row shows it yet. */
  expect(row: GuestRow & { readonly name: string }): void {
    this.overlay.expect(row);
    this.names.learn(row, row.name);
  }

  /**
   * We have destroyed it, in a task that began after `since` (clock time in ms): no name and no answer of ours stands for it any more,
   * and no row that there is now. One from after `since` may be that of who has its vmid now: then rows are asked for again.
   */
  buried(id: GuestId, since: number): void {
    this.overlay.bury(id, since);
    this.names.bury(id);
    this.names.forget(id);
  }

  /** All guests, with what our own changes have made of them. */
  rows(inventory: Inventory): readonly GuestRow[] {
    const listed = inventory.guests.map((row) => this.overlay.over(row));
    const present = listed.filter((row) => row !== undefined);
    const missing = this.overlay.missing(inventory);
    if (missing.length === 0) return present;
    return [...present, ...missing].sort((a, b) => a.vmid - b.vmid);
  }

  /** The guest of ours or others that has this vmid, if any. */
  rowOf(vmid: number, inventory: Inventory): GuestRow | undefined {
    const row = inventory.byVmid.get(vmid);
    return (row && this.overlay.over(row)) ?? this.overlay.expected(vmid);
  }

  /** Rows that bear this name, without regard to case, among them guests of ours that PVE does not show yet. */
  rowsNamed(name: string, inventory: Inventory): readonly GuestRow[] {
    const wanted = name.toLowerCase();
    const shown = this.names.find(name, inventory).map((row) => this.overlay.over(row));
    const missing = this.overlay
      .missing(inventory)
      .filter((row) => row.name.toLowerCase() === wanted);
    return [...shown.filter((row) => row !== undefined), ...missing];
  }

  /** Grows with whatever is learned beside the rows: a reference may mean another guest from then on. */
  get version(): number {
    return this.names.version + this.overlay.version;
  }

  found(row: GuestRow, inventory: Inventory): Found {
    return { row, name: this.names.nameOf(row, inventory) };
  }

  #match(reference: string, kind: GuestKind, inventory: Inventory): Found | undefined {
    const all = this.#candidates(reference, inventory);
    const fitting = all.filter(({ row }) => kind === "any" || row.type === kind);
    const exact = fitting.filter(({ row, name }) => name === reference || isVmid(reference, row));
    const matches = exact.length > 0 ? exact : fitting;
    if (matches.length > 1) throw ambiguous(reference, matches);
    if (matches[0]) return matches[0];
    if (all[0]) throw otherKind(reference, kind, all[0]);
    return undefined;
  }

  #candidates(reference: string, inventory: Inventory): readonly Found[] {
    const rows = new Map(this.rowsNamed(reference, inventory).map((row) => [row.vmid, row]));
    const [, type, vmid] = /^(?:(qemu|lxc)\/)?([1-9][0-9]{0,8})$/.exec(reference) ?? [];
    const row = vmid === undefined ? undefined : this.rowOf(Number(vmid), inventory);
    if (row && (type === undefined || type === row.type)) rows.set(row.vmid, row);
    return [...rows.values()].map((one) => this.found(one, inventory));
  }

  async #missing(
    reference: string,
    kind: GuestKind,
    inventory: Inventory,
    call: Call,
  ): Promise<Found> {
    const key = `${kind} ${reference.toLowerCase()}`;
    const now = this.#verbs.clock.now();
    const missed = this.#misses.get(key);
    const known = missed?.beganAt === inventory.beganAt && now - missed.at < missMs;
    if (known) throw missed.problem;
    const newer = await this.#newer(inventory, call);
    const shown = this.#match(reference, kind, newer);
    if (shown) return shown;
    const unread = await this.#learnNames(reference, kind, newer, call);
    const match = this.#match(reference, kind, newer);
    if (match) return match;
    // What could not be read may be it: that is said, and asked again the next time.
    const problem = this.#notFound(reference, kind, newer, unread);
    const miss = { at: this.#verbs.clock.now(), beganAt: newer.beganAt, problem };
    if (unread.length === 0) this.#misses.set(key, miss);
    throw problem;
  }

  /** An inventory that is young enough to call a name unknown. */
  async #newer(inventory: Inventory, call: Call): Promise<Inventory> {
    const now = this.#verbs.clock.now();
    if (now - inventory.beganAt <= refreshMs) return this.last ?? inventory;
    const beganAt = this.#refreshing ?? now;
    this.#refreshing = beganAt;
    const reading = call.within(Math.max(refreshMs, now - beganAt));
    try {
      return await this.#shared.any(reading);
    } finally {
      this.#refreshing = undefined;
    }
  }

  /** Where rows have no name yet (others made them just now) or none that is believed, configurations tell. Answers what was not read. */
  async #learnNames(
    reference: string,
    kind: GuestKind,
    inventory: Inventory,
    call: Call,
  ): Promise<readonly GuestRow[]> {
    const rows = this.names
      .doubtful(reference, inventory)
      .filter((row) => kind === "any" || row.type === kind)
      .filter(({ lock }) => lock !== "clone" && lock !== "create")
      .filter((row) => !isOffline(inventory, row.node));
    const asked = rows.slice(0, maxNameless);
    const read = await Promise.all(asked.map((row) => this.#learnName(row, call)));
    return rows.filter((_, index) => !read[index]);
  }

  /** Whether its name, or that it is gone, is known now. */
  async #learnName(row: GuestRow, call: Call): Promise<boolean> {
    try {
      const config = await this.#verbs.observe(call, configQuestion(row));
      learnName(this.names, row, config);
      return true;
    } catch (error) {
      if (!isProblem(error, "not_found", "forbidden", "unreachable", "timeout")) throw error;
      return error.kind === "not_found";
    }
  }

  #notFound(
    reference: string,
    kind: GuestKind,
    inventory: Inventory,
    unread: readonly GuestRow[] = [],
  ): Problem {
    const named = this.rows(inventory)
      .filter((row) => kind === "any" || row.type === kind)
      .map((row) => this.found(row, inventory));
    const silent = this.names.nameless(inventory).filter((row) => isOffline(inventory, row.node));
    return notFound(reference, kind, named, { silent, unread });
  }
}

/** PVE: GET /nodes/{node}/{qemu|lxc}/{vmid}/config */
export function configQuestion(row: GuestId & { readonly node: string }) {
  return {
    path: path`/nodes/${row.node}/${row.type}/${row.vmid}/config`,
    freshness: fresh("guestConfig", ...guestTags(row)),
    parse: (data: unknown, { beganAt }: { readonly beganAt: number }) =>
      readConfig(data, row, beganAt),
  };
}

/** `101`, or `qemu/101` as PVE writes a guest's id: the way out where some guest is named 101. */
export function isVmid(reference: string, row: GuestId): boolean {
  return reference === String(row.vmid) || reference === `${row.type}/${row.vmid}`;
}
