import type { GuestId } from "../api/values.ts";
import type { GuestRow, Inventory } from "./inventory.ts";

/** Hosts publish figures every 10 s and workers keep copies: a row may say what was true this long ago. */
const rowLagMs = 15_000;

interface Patch extends GuestId {
  readonly fields: Partial<Pick<GuestRow, "status" | "node">>;
  /** Clock time in ms from which on this is true. */
  readonly since: number;
  /** Not made by us: its own node has said so. */
  readonly seen?: boolean;
}

/** A guest that we have destroyed, between these times in ms; its end is noticed some seconds late. */
interface Gone extends GuestId {
  readonly since: number;
  readonly at: number;
}

/**
 * What our own changes have made of guests, and what their nodes have told us since, laid over rows that do not show it yet. So
 * a change of one guest costs nobody else their answers: the inventory stays, and only what is said of that guest is newer.
 */
export class Overlay {
  /** Grows with every change. */
  version = 0;
  readonly #now: () => number;
  readonly #patches = new Map<string, Patch>();
  readonly #gone = new Map<string, Gone>();
  /** Guests of ours that PVE has accepted; `since` is set when they are ready. */
  readonly #expected = new Map<
    number,
    { row: GuestRow & { readonly name: string }; since: number | undefined }
  >();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A task of ours has left the guest like this. */
  set(id: GuestId, fields: Patch["fields"]): void {
    this.version++;
    const { type, vmid } = id;
    this.#patches.set(key(id), { type, vmid, fields, since: this.#now() });
  }

  /** Its node, asked at that time, has said its state: a row that is older must not take that back. */
  saw(row: GuestRow, status: string, at: number): void {
    const before = this.#patches.get(key(row));
    // Who knows nothing of a guest but its place lacks its figures too: it goes on being asked.
    if ((before?.since ?? 0) > at || status === "unknown" || row.status === "unknown") return;
    // Rows call all that runs in some way `running`.
    const fields = { ...before?.fields, status: status === "stopped" ? status : "running" };
    if (row.status !== fields.status) this.version++;
    const { type, vmid } = row;
    const seen = before === undefined || before.seen === true;
    this.#patches.set(key(row), { type, vmid, fields, since: at, seen });
  }

  /** A newer inventory shows it changed: gone, replaced, or where we have not left it. Then that knows better. */
  replaced(before: GuestRow, after: GuestRow | undefined): void {
    const patch = this.#patches.get(key(before));
    const elsewhere = after?.node !== before.node && after?.node !== patch?.fields.node;
    if (patch && (after?.type !== before.type || elsewhere)) this.#drop(before);
  }

  /** We have destroyed it, since then: no row from before now is believed. */
  bury({ type, vmid }: GuestId, since: number): void {
    this.#drop({ type, vmid });
    this.#expected.delete(vmid);
    this.#gone.set(key({ type, vmid }), { type, vmid, since, at: this.#now() });
  }

  /** PVE has accepted the creation of this guest: it is there, though no row shows it. */
  expect(row: GuestRow & { readonly name: string }): void {
    this.version++;
    this.#expected.set(row.vmid, { row, since: undefined });
  }

  /** It is ready in this state, or (undefined) it has come to nothing; from the next inventory on only rows count. */
  arrived(vmid: number, status: string | undefined): void {
    this.version++;
    const entry = this.#expected.get(vmid);
    if (!entry) return;
    if (status === undefined) {
      this.#expected.delete(vmid);
      return;
    }
    const { lock: _lock, ...row } = entry.row;
    this.#expected.set(vmid, { row: { ...row, status }, since: this.#now() });
    this.set(row, { status });
  }

  /** A newer inventory has come: what it is new enough to know needs no overlay. */
  adopt(inventory: Inventory): void {
    this.version++;
    for (const [vmid, { since }] of this.#expected) {
      if (since !== undefined && inventory.beganAt >= since) this.#expected.delete(vmid);
    }
    for (const [id, { at }] of this.#gone) if (inventory.beganAt >= at) this.#gone.delete(id);
    for (const [id, patch] of this.#patches) {
      const { fields, since } = patch;
      if (inventory.beganAt >= since + rowLagMs) this.#patches.delete(id);
      else if (fields.node !== undefined && inventory.beganAt >= since) {
        // Where a guest is, rows know at once; only its state lags.
        const { node: _node, ...lagging } = fields;
        this.#patches.set(id, { ...patch, fields: lagging });
      }
    }
  }

  /** The row as it is to be told; undefined for a guest that is gone. */
  over(row: GuestRow): GuestRow | undefined {
    if (this.#gone.has(key(row))) return undefined;
    const patch = this.#patches.get(key(row));
    if (!patch || (patch.seen && row.status === "unknown")) return row;
    const { status = row.status, node = row.node } = patch.fields;
    return status === row.status && node === row.node ? row : { ...row, status, node };
  }

  /** The latest end of a destruction while which this was asked for: a row may be the guest's, or that of who has its vmid now. -∞ without any. */
  overtakenFrom({ beganAt, byVmid }: Inventory): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const { type, vmid, since, at } of this.#gone.values()) {
      const shown = since <= beganAt && beganAt < at && byVmid.get(vmid)?.type === type;
      if (shown) latest = Math.max(latest, at);
    }
    return latest;
  }

  /** The latest time up to now from which on rows are right about states in which these contradict what we have made or seen; -∞ without any. */
  decidedFrom(inventory: Inventory, now: number, how: "made" | "seen"): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const { type, vmid, fields, since, seen = false } of this.#patches.values()) {
      if (seen !== (how === "seen")) continue;
      const row = inventory.byVmid.get(vmid);
      const contradicts = row?.type === type && row.status !== (fields.status ?? row.status);
      if (contradicts && since + rowLagMs <= now) latest = Math.max(latest, since + rowLagMs);
    }
    return latest;
  }

  /** Guests of ours that this inventory does not show yet. */
  missing(inventory: Inventory): readonly (GuestRow & { readonly name: string })[] {
    return [...this.#expected.values()]
      .map(({ row }) => row)
      .filter((row) => {
        const shown = inventory.byVmid.get(row.vmid)?.type === row.type;
        // What is shown may be a guest that we have destroyed, whose vmid this one has taken.
        return !shown || this.#gone.has(key(row));
      });
  }

  /** The guest of ours with this vmid that PVE has accepted, as long as rows may not show it. */
  expected(vmid: number): GuestRow | undefined {
    return this.#expected.get(vmid)?.row;
  }

  #drop(id: GuestId): void {
    this.version++;
    this.#patches.delete(key(id));
  }
}

function key(id: GuestId): string {
  return `${id.type}/${id.vmid}`;
}
