import { path } from "../../http/path.ts";
import { grantWords } from "../../http/permission.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { readConfig } from "../api/guest-config.ts";
import { type GuestId, guestWords, text } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import { type GuestRow, type Inventory, isOffline } from "../cluster/inventory.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { guestPath, Visibility } from "../cluster/visibility.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import { mayBeTheOwners } from "./volume-namesake.ts";
import type { Volume } from "./volumes.ts";

/** What was found out about who uses a volume. */
export interface Uses {
  /** One sentence each. */
  readonly by: readonly string[];
  /** What could not be looked at, one phrase each. */
  readonly unchecked: readonly string[];
  /** How it gets free; absent: by taking it out of what uses it. */
  readonly next?: string;
}

/** Guests whose configurations are looked through for one volume. */
const maxScanned = 200;
const atOnce = 4;

/** Configurations name disks and drives, of any owner; other files (backups, templates) are copied when they are used. */
const named = new Set(["images", "rootdir", "iso", "snippets"]);

/** Who uses a volume: Proxmox deletes it all the same. PVE: pve-storage src/PVE/API2/Storage/Content.pm (delete) */
export class VolumeUse {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #visibility: Visibility;

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#visibility = new Visibility(verbs);
  }

  /**
   * All is read past the cache: the owner's configuration and its snapshots, and the other guests' configurations, at most 200, those
   * on the volume's own node where it is local. On another node its owner's disk of that name is another one. Throws `conflict` where the owner can't be asked, or may be there unseen.
   */
  async of(volume: Volume, siblings: readonly Volume[], call: Call): Promise<Uses> {
    const clones = siblings.filter((other) => isCloneOf(other, volume));
    const by = clones.map((clone) => `${clone.volid} is a linked clone of it`);
    const cloned = clones.length > 0 ? { next: firstClones } : {};
    if (!named.has(volume.content)) return { by, unchecked: [], ...cloned };
    const inventory = await this.#lookup.liveInventory(call);
    const owner = volume.vmid === undefined ? undefined : inventory.byVmid.get(volume.vmid);
    const uses = owner ? await this.#owner(owner, volume, inventory, call) : [];
    by.push(...uses);
    const next = owner?.template && uses.length > 0 ? { next: ofTemplate(owner, clones) } : cloned;
    if (by.length > 0) return { by, unchecked: [], ...next };
    if (!owner) await this.#assertGone(volume, call);
    const rows = inventory.guests.filter(
      (row) => row !== owner && (volume.shared || row.node === volume.node),
    );
    return this.#scan(rows, volume, inventory, call);
  }

  /** Without a row the owner is gone only where these credentials would see it. */
  async #assertGone(volume: Volume, call: Call): Promise<void> {
    const { vmid } = volume;
    if (vmid === undefined || (await this.#visibility.ofGuest(vmid, call))) return;
    throw unseenOwner(volume, vmid, this.#verbs.api.principal);
  }

  async #owner(
    row: GuestRow,
    volume: Volume,
    inventory: Inventory,
    call: Call,
  ): Promise<readonly string[]> {
    const who = `${guestWords(row, this.#lookup.found(row, inventory).name)} on ${row.node}`;
    try {
      const uses = await this.#namedBy(row, who, volume, call);
      if (volume.shared || row.node === volume.node) return uses;
      const namesake = { volume, owner: row, who, uses };
      return await mayBeTheOwners(namesake, inventory, this.#verbs, call);
    } catch (error) {
      if (!isProblem(error) || error.kind === "cancelled") throw error;
      throw unknownUse(volume, who, error);
    }
  }

  /** Where its owner has that name. */
  async #namedBy(row: GuestRow, who: string, { volid }: Volume, call: Call) {
    const key = await this.#keyNow(row, volid, true, call);
    if (key !== undefined) return [`${who} uses it as ${key}`];
    const snapshots = await this.#verbs.live(call, snapshotsQuestion(row));
    const names = snapshots.flatMap((snapshot) => text(snapshot["name"]) ?? []);
    const used = await pooled(names, async (name) => {
      const then = await this.#verbs.live(call, snapshotConfigQuestion(row, name));
      return keyOf(then, volid) === undefined ? [] : [name];
    });
    return used.flat().map((name) => `snapshot ${name} of ${who} needs it`);
  }

  /** Under which key a guest has it, in its configuration or, where it may run, in what it really has at the moment. */
  async #keyNow(row: GuestRow, volid: string, mayRun: boolean, call: Call) {
    const key = keyOf(await this.#verbs.live(call, configQuestion(row)), volid);
    if (key !== undefined || !mayRun) return key;
    return keyOf(await this.#verbs.live(call, presentConfigQuestion(row)), volid);
  }

  async #scan(
    rows: readonly GuestRow[],
    { volid }: Volume,
    inventory: Inventory,
    call: Call,
  ): Promise<Uses> {
    const by: string[] = [];
    const unchecked: string[] = [];
    const word = (row: GuestRow) => guestWords(row, this.#lookup.found(row, inventory).name);
    await pooled(rows.slice(0, maxScanned), async (row) => {
      if (isOffline(inventory, row.node)) return unchecked.push(`${word(row)}: node offline`);
      try {
        const key = await this.#keyNow(row, volid, row.status !== "stopped", call);
        if (key !== undefined) by.push(`${word(row)} on ${row.node} uses it as ${key}`);
      } catch (error) {
        if (!isProblem(error) || error.kind === "cancelled") throw error;
        unchecked.push(`${word(row)}: ${error.kind}`);
      }
      return undefined;
    });
    const more = rows.length - maxScanned;
    const all = [
      ...((await this.#visibility.ofAll(call)) ? [] : [unseenGuests]),
      ...(rows.length > 0 ? ["snapshots of other guests"] : []),
      ...(more > 0 ? [`${more} more guests`] : []),
      ...unchecked,
    ];
    return { by, unchecked: all };
  }
}

/** PVE: GET …/config?current=1: what a running guest really has; a disk whose removal waits for a restart is in use until then. */
export function presentConfigQuestion(row: GuestId & { readonly node: string }) {
  return { ...configQuestion(row), params: { current: true } };
}

/** PVE: GET …/snapshot/{name}/config: what a rollback would bring back. */
export function snapshotConfigQuestion(row: GuestId & { readonly node: string }, name: string) {
  return {
    path: path`/nodes/${row.node}/${row.type}/${row.vmid}/snapshot/${name}/config`,
    freshness: fresh("guestConfig", tags.guest(row)),
    parse: (data: unknown, { beganAt }: { readonly beganAt: number }) =>
      readConfig(data, row, beganAt),
  };
}

/** The key under which a configuration names a volume: `scsi0`, `unused1`, `ide2`, `vmstate`, `cicustom` … */
export function keyOf(config: GuestConfig, volid: string): string | undefined {
  const disk = config.disks.find((one) => one.volid === volid);
  if (disk) return disk.key;
  const option = Object.entries(config.options).find(([, value]) =>
    String(value)
      .split(",")
      .some((piece) => piece === volid || piece.endsWith(`=${volid}`)),
  );
  return option?.[0];
}

/**
 * Storages write a clone's origin into its name (`store:BASE/vm-105-disk-0`) or tell it as `parent`, as a volid, a path or a
 * snapshot (`base-9000-disk-0@__base__`); LVM-thin does neither, and there the base may go.
 */
export function isCloneOf(other: Volume, base: Volume): boolean {
  if (other.volid === base.volid) return false;
  const inner = base.volid.slice(base.volid.indexOf(":") + 1);
  const file = inner.slice(inner.lastIndexOf("/") + 1);
  const pieces = (other.parent ?? "").split(/[/@:]/);
  return other.volid.startsWith(`${base.volid}/`) || pieces.includes(file);
}

const firstClones = "Delete its linked clones first: they cannot be read without it.";

/** A template has its disk for life. */
function ofTemplate({ vmid }: GuestRow, clones: readonly Volume[]): string {
  const gone = `delete_guest {guest: "${vmid}"}`;
  return clones.length > 0
    ? `Delete its linked clones first, then the template with all its disks: ${gone}.`
    : `It goes with the template, if that is no longer wanted: ${gone}.`;
}

const unseenGuests = "guests that are not visible with these credentials (VM.Audit on /vms)";

function unseenOwner({ volid }: Volume, vmid: number, principal: string): Problem {
  const at = guestPath(vmid);
  return new Problem(
    "conflict",
    `Whether ${volid} is in use can't be known: its owner guest ${vmid} is not visible with these credentials (VM.Audit on ${at}). Nothing was sent.`,
    {
      next: grantWords(at, "PVEAuditor", principal),
      facts: { volid, vmid, path: at, privileges: ["VM.Audit"] },
    },
  );
}

function unknownUse(volume: Volume, who: string, cause: Problem): Problem {
  return new Problem(
    "conflict",
    `${volume.volid} belongs to ${who}, and whether it uses it could not be found out: ${cause.message}`,
    {
      next: "Try again when that guest's configuration can be read.",
      facts: { volid: volume.volid, vmid: volume.vmid },
      cause,
    },
  );
}

/** At most four at a time. */
export async function pooled<Item, T>(
  items: readonly Item[],
  run: (item: Item) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
