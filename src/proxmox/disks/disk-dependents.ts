import { ifAllowed } from "../../each.ts";
import { isProblem, type Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Disk } from "../api/guest-config.ts";
import { guestWords, text } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { conflict } from "../guests/changes.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import { isCloneOf, keyOf, pooled, snapshotConfigQuestion } from "../storage/volume-use.ts";
import type { Volume } from "../storage/volumes.ts";

/** At most so many are named. */
const shown = 10;

/** What else lives on the volume of a disk: snapshots of its guest, and linked clones of a template. */
export class DiskDependents {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  readonly #storages: Storages;

  constructor(verbs: Verbs, lookup: Lookup, storages: Storages) {
    this.#verbs = verbs;
    this.#lookup = lookup;
    this.#storages = storages;
  }

  /**
   * What speaks against the end of the volume, a `conflict` each; nothing where these credentials may not look. PVE:
   * try_deallocate_drive, vdisk_free
   */
  async against(guest: Identified, disk: Disk, call: Call): Promise<readonly Problem[]> {
    const [snapshots = [], clones = []] = await Promise.all([
      ifAllowed(this.#snapshots(guest, disk, call)),
      this.#clones(disk, call),
    ]);
    return [
      ...(clones.length > 0 ? [await this.#cloned(guest, disk, clones, call)] : []),
      ...(snapshots.length > 0 ? [kept(guest, disk, snapshots)] : []),
    ];
  }

  async #snapshots(guest: Identified, { volid }: Disk, call: Call): Promise<readonly string[]> {
    const rows = await this.#verbs.live(call, snapshotsQuestion(guest));
    const names = rows.flatMap((row) => text(row["name"]) ?? []);
    const using = await pooled(names, async (name) => {
      const then = await this.#verbs.live(call, snapshotConfigQuestion(guest, name));
      return keyOf(then, volid) === undefined ? [] : [name];
    });
    return using.flat();
  }

  /** Only a template's disks are called so, and only they have linked clones. */
  async #clones({ volid, storage }: Disk, call: Call): Promise<readonly Volume[]> {
    if (storage === undefined || !/[:/]base(?:vol)?-\d+-/.test(volid)) return [];
    try {
      const { volumes } = await this.#storages.content(storage, { live: true }, call);
      const base = volumes.find((volume) => volume.volid === volid);
      return base ? volumes.filter((other) => isCloneOf(other, base)) : [];
    } catch (error) {
      // Who may not look into the storage, or can't at the moment, hears it from PVE.
      if (isProblem(error) && error.kind !== "cancelled") return [];
      throw error;
    }
  }

  async #cloned(
    guest: Identified,
    disk: Disk,
    clones: readonly Volume[],
    call: Call,
  ): Promise<Problem> {
    const inventory = await this.#lookup.inventory(call);
    const vmids = [...new Set(clones.flatMap((clone) => clone.vmid ?? []))];
    const names = vmids.map((vmid) => {
      const row = inventory.byVmid.get(vmid);
      return row ? guestWords(row, this.#lookup.found(row, inventory).name) : `guest ${vmid}`;
    });
    const who = names.length === 0 ? clones.map(({ volid }) => volid) : names;
    const what = `can't lose ${disk.key} (${disk.volid}): linked clones live on it: ${some(who)}`;
    const next = "Delete those first, or make them independent with full clones; or leave it.";
    return conflict(guest, what, next);
  }
}

function kept(guest: Identified, { key, volid }: Disk, snapshots: readonly string[]): Problem {
  const what = `can't lose ${key} (${volid}): it is still in use by ${snapshots.length === 1 ? "snapshot" : "snapshots"} ${some(snapshots)}`;
  const next = `Leave the old volume, or delete them first: delete_snapshot {guest: "${guest.vmid}", name: "${snapshots[0]}"}.`;
  return conflict(guest, what, next);
}

function some(names: readonly string[]): string {
  const more = names.length - shown;
  return `${names.slice(0, shown).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
