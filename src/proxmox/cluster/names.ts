import { LRUCache } from "lru-cache";
import type { GuestConfig } from "../api/guest-config.ts";
import type { GuestId, GuestType } from "../api/values.ts";
import type { GuestRow, Inventory } from "./inventory.ts";

/** A row's name may be this old: hosts publish every 10 s, and workers keep their own copy for some more. */
const rowLagMs = 15_000;

/** pmxcfs forgets a dead guest's figures, its name among them, only after 5 min; who takes its vmid before is shown with them. */
const deadFiguresMs = 300_000;

/** Each worker of a host keeps its own copy for 2 s: a row that goes back to an older name so soon comes from such a copy. */
const copyMs = 3_000;

/** A row has changed its name. */
interface Turn {
  readonly row: GuestRow;
  readonly from: string;
  readonly to: string;
  /** Clock time in ms of the first inventory that showed it. */
  readonly at: number;
}

/** A guest is gone; `until` is set while somebody else has its vmid: the clock time in ms from which on that row's name is believed. */
interface Death {
  readonly at: number;
  readonly until: number | undefined;
}

interface Known {
  readonly vmid: number;
  readonly type: GuestType;
  readonly name: string;
  readonly at: number;
}

/** A guest that a reference has led to: its row, and the name to believe (a row's own may lag). */
export interface Found {
  readonly row: GuestRow;
  readonly name: string | undefined;
}

/** A guest as an answer of ours has shown it. */
export interface Told extends GuestId {
  readonly node: string;
  readonly name: string;
}

/**
 * What we know of names beside the rows of /cluster/resources, which lag: names read from configurations, names of guests that
 * we made ourselves, and vmids whose row may still carry a dead guest's name.
 */
export class Names {
  /** Grows whenever a guest's name is another than before. */
  version = 0;
  readonly #now: () => number;
  readonly #known: LRUCache<string, Known>;
  /** Keys of `#known` by name in lower case. */
  readonly #byName = new Map<string, readonly string[]>();
  readonly #dead = new Map<number, Death>();
  readonly #turns = new Map<string, Turn>();
  /** Keys of `#known` whose row has had another name since: few, so that nobody has to go through all of them. */
  readonly #disputed = new Set<string>();
  #rows: Inventory | undefined;
  readonly #told: LRUCache<number, Told>;
  /** vmids of `#told` by name in lower case. */
  readonly #toldByName = new Map<string, readonly number[]>();

  constructor(now: () => number) {
    this.#now = now;
    this.#known = new LRUCache<string, Known>({
      max: 20_000,
      onInsert: (known, id) => index(this.#byName, known.name, id),
      dispose: (known, id) => unindex(this.#byName, known.name, id),
    });
    this.#told = new LRUCache<number, Told>({
      max: 20_000,
      onInsert: (told, vmid) => index(this.#toldByName, told.name, vmid),
      dispose: (told, vmid) => unindex(this.#toldByName, told.name, vmid),
    });
  }

  /** This guest's configuration has said its name, or we have just given it one. `at`: when that was true, in ms. */
  learn(id: GuestId, name: string, at: number = this.#now()): void {
    const { at: diedAt = at } = this.#dead.get(id.vmid) ?? {};
    if (at < diedAt) return;
    const newer = this.#known.peek(key(id));
    if (newer && newer.at > at) return;
    if (newer?.name !== name) this.version++;
    this.#known.set(key(id), { type: id.type, vmid: id.vmid, name, at });
    const row = this.#rows?.byVmid.get(id.vmid);
    if (row && row.name !== name) this.#disputed.add(key(id));
  }

  /** This guest is gone since `at` or earlier, and whoever takes its vmid next will carry its name in the row for a while. */
  bury(id: GuestId, at: number = this.#now()): void {
    this.version++;
    this.#known.delete(key(id));
    this.#turns.delete(key(id));
    this.#dead.set(id.vmid, { at, until: undefined });
  }

  /** A newer inventory has come: it shows which vmids of dead guests others have taken. */
  adopt(inventory: Inventory): void {
    this.#rows = inventory;
    for (const [vmid, { at, until }] of this.#dead) {
      if (inventory.beganAt < at) continue;
      if (until !== undefined && inventory.beganAt >= until) this.#dead.delete(vmid);
      else if (inventory.byVmid.has(vmid)) {
        this.#dead.set(vmid, { at, until: until ?? inventory.beganAt + rowLagMs });
      } else if (inventory.beganAt >= at + deadFiguresMs) this.#dead.delete(vmid);
      else this.#dead.set(vmid, { at, until: undefined });
    }
  }

  /** A newer inventory shows this guest under another name than the one before. */
  turned(before: GuestRow, after: GuestRow, at: number): void {
    for (const [id, turn] of this.#turns) if (at >= turn.at + copyMs) this.#turns.delete(id);
    const [from, to] = [before.name, after.name];
    if (from === undefined || to === undefined || from === to) return;
    this.#disputed.add(key(after));
    if (this.#turns.has(key(after))) return;
    this.version++;
    this.#turns.set(key(after), { row: after, from, to, at });
  }

  /** The name to believe: what a configuration said beats a row that may be older; a doubtful row is not believed at all. */
  nameOf(row: GuestRow, inventory: Inventory): string | undefined {
    const known = this.#known.peek(key(row));
    const doubtful = this.isDoubtful(row.vmid, inventory);
    const young = known && inventory.beganAt < known.at + rowLagMs;
    if (known && (young || doubtful || row.name === undefined)) return known.name;
    if (doubtful) return undefined;
    const turn = this.#turns.get(key(row));
    if (!turn || turn.from !== row.name) return row.name;
    return inventory.beganAt < turn.at + copyMs ? turn.to : row.name;
  }

  /** The latest time up to now from which on rows are right about names in which these still contradict us; -∞ without any. */
  decidedFrom(inventory: Inventory, now: number): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const id of this.#disputed) {
      const known = this.#known.peek(id);
      const row = known && inventory.byVmid.get(known.vmid);
      const at = (known?.at ?? 0) + rowLagMs;
      if (inventory.beganAt >= at || row?.type !== known?.type || row?.name === known?.name)
        this.#disputed.delete(id);
      else if (at <= now && row?.name !== undefined && !this.isDoubtful(row.vmid, inventory))
        latest = Math.max(latest, at);
    }
    return latest;
  }

  /** Rows that may be called so: they bear this name while we know another one of them, or no name is believed of them. */
  doubtful(name: string, inventory: Inventory): readonly GuestRow[] {
    const others = rowsNamed(name, inventory).filter((row) => {
      const believed = this.nameOf(row, inventory)?.toLowerCase();
      return believed !== undefined && believed !== name.toLowerCase();
    });
    return [...others, ...this.nameless(inventory)];
  }

  /** Rows whose believed name equals `name` without regard to case; the rows are not scanned. */
  find(name: string, inventory: Inventory): readonly GuestRow[] {
    const wanted = name.toLowerCase();
    const { byVmid } = inventory;
    const rows = [...rowsNamed(name, inventory)];
    for (const id of this.#byName.get(wanted) ?? []) {
      const known = this.#known.peek(id);
      const row = known && byVmid.get(known.vmid);
      if (row && row.type === known.type && !rows.includes(row)) rows.push(row);
    }
    for (const { row: turned } of this.#turns.values()) {
      const row = byVmid.get(turned.vmid);
      if (row?.type === turned.type && !rows.includes(row)) rows.push(row);
    }
    return rows.filter((row) => this.nameOf(row, inventory)?.toLowerCase() === wanted);
  }

  /** Rows of which no name is believed. */
  nameless(inventory: Inventory): readonly GuestRow[] {
    const rows = new Set(inventory.nameless);
    for (const vmid of this.#dead.keys()) {
      const row = this.isDoubtful(vmid, inventory) ? inventory.byVmid.get(vmid) : undefined;
      if (row) rows.add(row);
    }
    return [...rows].filter((row) => this.nameOf(row, inventory) === undefined);
  }

  /** An answer of ours shows this guest under this name; a later change by vmid or name is held against it. */
  tell(guest: GuestId & { readonly node: string }, name: string | undefined): void {
    const { type, vmid, node } = guest;
    if (name === undefined) return;
    const told = this.#told.get(vmid);
    if (told?.name === name && told.node === node && told.type === type) return;
    this.#told.set(vmid, { type, vmid, node, name });
  }

  /** We have destroyed it ourselves: nobody means it any more. */
  forget(id: GuestId): void {
    this.#told.delete(id.vmid);
  }

  /** How our answers have last shown this vmid. */
  told(vmid: number): Told | undefined {
    return this.#told.get(vmid);
  }

  /** The guests that our answers have shown under this name, without regard to case. */
  toldAs(name: string): readonly Told[] {
    const vmids = this.#toldByName.get(name.toLowerCase()) ?? [];
    return vmids.map((vmid) => this.#told.get(vmid)).filter((told) => told !== undefined);
  }

  /** Whether a row of this inventory may still carry the name, the state and the figures of who had its vmid before. */
  isDoubtful(vmid: number, { beganAt }: Inventory): boolean {
    const death = this.#dead.get(vmid);
    return death !== undefined && (death.until === undefined || beganAt < death.until);
  }
}

/** A configuration's word on its guest's name counts, unless the guest is only half there: then PVE gives or invents none. */
export function learnName(names: Names, id: GuestId, config: GuestConfig): void {
  if (config.name !== undefined) names.learn(id, config.name, config.beganAt);
}

/** Rows that bear this name themselves. */
function rowsNamed(name: string, { byName, namesakes }: Inventory): readonly GuestRow[] {
  const wanted = name.toLowerCase();
  const first = byName.get(wanted);
  return first ? [first, ...(namesakes.get(wanted) ?? [])] : [];
}

/** Lists, and copied ones: thousands of sets of one would take three times the memory. */
function index<T>(byName: Map<string, readonly T[]>, name: string, id: T): void {
  const wanted = name.toLowerCase();
  byName.set(wanted, (byName.get(wanted) ?? []).concat([id]));
}

function unindex<T>(byName: Map<string, readonly T[]>, name: string, id: T): void {
  const wanted = name.toLowerCase();
  const others = byName.get(wanted)?.filter((other) => other !== id) ?? [];
  if (others.length > 0) byName.set(wanted, others);
  else byName.delete(wanted);
}

function key(id: GuestId): string {
  return `${id.type}/${id.vmid}`;
}
