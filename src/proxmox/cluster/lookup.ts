import { LRUCache } from "lru-cache";
import { path } from "../../http/path.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, guestTags, tags } from "../api/freshness.ts";
import { readConfig } from "../api/guest-config.ts";
import type { GuestId, GuestKind } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import {
  changedSince,
  type GuestRow,
  type Inventory,
  inventoryQuestion,
  isOffline,
} from "./inventory.ts";
import { type Found, learnName, type Names } from "./names.ts";
import { ambiguous, notFound, otherKind } from "./near-miss.ts";
import type { Overlay } from "./overlay.ts";
import { Silence } from "./silence.ts";
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
/** Rows younger than this are not asked again because they contradict us: many guests that do are decided together. */
const decideMs = 5_000;
/** Nameless rows whose configurations are read before a name is called unknown. */
const maxNameless = 5;

/** Finds guests by name or vmid in one inventory that serves everyone. PVE: GET /cluster/resources */
export class Lookup {
  readonly names: Names;
  readonly overlay: Overlay;
  readonly silence = new Silence();
  readonly #verbs: Verbs;
  readonly #misses = new LRUCache<string, Miss>({ max: 1_000 });
  #sweep: Sweep | undefined;
  #last: Inventory | undefined;
  #lastMissRefresh = Number.NEGATIVE_INFINITY;
  /** A refresh for an unknown name that is under way: whoever asks for another meanwhile joins it. */
  #refresh: Promise<Inventory> | undefined;

  constructor(verbs: Verbs, names: Names, overlay: Overlay) {
    this.#verbs = verbs;
    this.names = names;
    this.overlay = overlay;
  }

  /** Refreshes go by sweeps from now on, where there is anything that a sweep can vouch for. */
  refreshBy(sweep: Sweep): void {
    this.#sweep = sweep;
  }

  /** The inventory of the whole cluster, as fresh as the call asks. */
  async inventory(call: Call): Promise<Inventory> {
    const due = call.maxAgeMs === undefined && !(await this.#verbs.isFresh(inventoryQuestion));
    const swept = due && this.#sweep?.isWorthwhile && (await this.#sweep.run(call));
    const reading = swept ? call.refreshed() : this.#deciding(call);
    return this.#adopt(await this.#verbs.observe(reading, inventoryQuestion));
  }

  /** Rows that contradict what we know are asked again soon after they must be right; their own age on top would be too long. */
  #deciding(call: Call): Call {
    const [now, last] = [this.#verbs.clock.now(), this.#last];
    if (call.maxAgeMs !== undefined || !last || now - last.beganAt < decideMs) return call;
    const from = Math.max(this.names.decidedFrom(last, now), this.overlay.decidedFrom(last, now));
    return from > last.beganAt ? call.within(now - from) : call;
  }

  /** The last inventory seen, whatever its age. */
  get last(): Inventory | undefined {
    return this.#last;
  }

  /** The inventory as it is now. */
  async liveInventory(call: Call): Promise<Inventory> {
    return this.#adopt(await this.#verbs.live(call, inventoryQuestion));
  }

  /**
   * The one guest that `reference` means: a name (exactly, else without regard to case) or a vmid.
   * Throws `not_found` with the closest names, `ambiguous` with the candidates, and `invalid_input` when the reference means a
   * guest of the other kind.
   */
  async guest(reference: string, kind: GuestKind, call: Call): Promise<Found> {
    const inventory = await this.inventory(call);
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
   * We have destroyed it: no name and no answer of ours stands for it any more, and no row that there is now, unless
   * `shownSince`: then that may be the row of who has its vmid now, and whoever says so has rows asked for again.
   */
  buried(id: GuestId, shownSince: boolean): void {
    this.overlay.bury(id, !shownSince);
    this.names.bury(id);
    this.names.forget(id);
  }

  /** All guests, with what our own changes have made of them. */
  rows(inventory: Inventory): readonly GuestRow[] {
    const listed = inventory.guests.map((row) => this.overlay.over(this.names.own(row, inventory)));
    const present = listed.filter((row) => row !== undefined);
    const missing = this.overlay.missing(inventory);
    if (missing.length === 0) return present;
    return [...present, ...missing].sort((a, b) => a.vmid - b.vmid);
  }

  /** The guest of ours or others that has this vmid, if any. */
  rowOf(vmid: number, inventory: Inventory): GuestRow | undefined {
    const row = inventory.byVmid.get(vmid);
    const own = row && this.names.own(row, inventory);
    return (own && this.overlay.over(own)) ?? this.overlay.expected(vmid);
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
    if (this.#refresh !== undefined) return this.#refresh;
    const young = now - inventory.beganAt <= refreshMs || now - this.#lastMissRefresh < refreshMs;
    if (young) return this.#last ?? inventory;
    this.#refresh = this.liveInventory(call);
    try {
      const newer = await this.#refresh;
      // Only now: one that failed has told nothing.
      this.#lastMissRefresh = now;
      return newer;
    } finally {
      this.#refresh = undefined;
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

  /** A new inventory is compared with the one before: who vanished or was replaced leaves nothing behind. */
  async #adopt(inventory: Inventory): Promise<Inventory> {
    const before = this.#last;
    // Who has waited for an answer that a newer one has overtaken is told the newer one: the older may show who is gone.
    if (before && before.beganAt > inventory.beganAt) return before;
    if (before?.beganAt === inventory.beganAt) return inventory;
    this.#last = inventory;
    const changed = before ? changedSince(before, inventory) : [];
    for (const row of changed) this.overlay.replaced(row, inventory.byVmid.get(row.vmid));
    this.overlay.adopt(inventory);
    this.silence.hear(inventory);
    for (const row of changed) {
      const now = inventory.byVmid.get(row.vmid);
      if (now?.type === row.type) this.names.turned(row, now, inventory.beganAt);
      else this.names.bury(row, inventory.beganAt);
    }
    this.names.adopt(inventory);
    if (!before) return inventory;
    for (const row of inventory.nameless) this.#keepName(row, before);
    await this.#verbs.cache.invalidate(changed.map((row) => tags.guest(row)));
    return inventory;
  }

  /** A row that has lost its name (its node went silent) goes on under the name it had; who reads it will see whether that holds. */
  #keepName(row: GuestRow, before: Inventory): void {
    const older = before.byVmid.get(row.vmid);
    const name = older?.type === row.type ? this.names.nameOf(older, before) : undefined;
    if (name !== undefined) this.names.learn(row, name, before.beganAt);
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
