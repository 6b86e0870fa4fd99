import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Disk } from "../api/guest-config.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { configChange } from "../config/config-request.ts";
import { explainUpdate } from "../config/update-refusals.ts";
import {
  type Changed,
  type ChangeOptions,
  type Changes,
  conflict,
  lockedBy,
} from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import { assertOwn } from "../storage/volume-owner.ts";
import { storageOf } from "../storage/volumes.ts";
import type { Plan } from "../tasks/plan.ts";
import { assertHolds, diskTouches, readSize, who, words } from "./guest-disks.ts";

export interface AttachOptions extends ChangeOptions {
  /** Of a new disk: `32G` on this storage. */
  readonly size?: string | undefined;
  readonly storage?: string | undefined;
  /** Instead: `unused0`, its volid, or that of an ISO image. */
  readonly volume?: string | undefined;
  /** `scsi1`, or only the bus; the first free place of `scsi` (ISO: `ide`) otherwise. */
  readonly slot?: string | undefined;
  /** Where a container mounts it. */
  readonly mountpoint?: string | undefined;
  /** More of PVE's options: `ssd=1,discard=on`. */
  readonly options?: string | undefined;
}

export interface Attached extends Changed<Identified> {
  /** Its key: `scsi1`, `mp0`. */
  readonly disk: string;
}

/** A key with its value, or the key where it is already. */
interface Placed {
  readonly key: string;
  readonly value?: string;
}

const gib = 1024 ** 3;
const greatest: Readonly<Record<string, number>> = {
  scsi: 30,
  virtio: 15,
  sata: 5,
  ide: 3,
  mp: 255,
};

/** Adding disks. PVE: an option of the configuration; `STORAGE:SIZE` (in GiB) makes a new volume. */
export class DiskAttachment {
  readonly #verbs: Verbs;
  readonly #changes: Changes;
  readonly #storages: Storages;
  readonly #lookup: Lookup;

  constructor(verbs: Verbs, changes: Changes, storages: Storages, lookup: Lookup) {
    this.#verbs = verbs;
    this.#changes = changes;
    this.#storages = storages;
    this.#lookup = lookup;
  }

  /**
   * Adds a new disk, or one that was detached, or an ISO image. What is attached already is left alone. Throws `invalid_input`,
   * `not_found` for a storage or a volume, `conflict` for a place that is taken or a volume of another guest, `locked`.
   */
  async attach(reference: string, call: Call, options: AttachOptions): Promise<Attached> {
    assertOneSource(options);
    assertOptions(options.options);
    let known: { readonly guest: Identified; readonly placed: Placed } | undefined;
    const plan = async (guest: Identified) => {
      const placed = await this.#place(guest, options, call);
      known = { guest, placed };
      return attachPlan(guest, placed, options);
    };
    try {
      const change = { reference, kind: "any" as const, state: false, plan };
      const changed = await this.#changes.run(change, call, { dryRun: options.dryRun });
      return { ...changed, disk: known?.placed.key ?? "" };
    } catch (error) {
      if (!known || !isProblem(error)) throw error;
      const { guest, placed } = known;
      throw await this.explain(error, { guest, disk: placed.key }, call);
    }
  }

  /** What a failed task, or a refusal, says of the disk. */
  explain(problem: Problem, { guest, disk }: Pick<Attached, "guest" | "disk">, call: Call) {
    const changes = { set: { [disk]: "" }, remove: [] };
    return explainUpdate(problem, { guest, changes, takesDigest: false }, this.#verbs, call);
  }

  async #place(guest: Identified, options: AttachOptions, call: Call): Promise<Placed> {
    const { size, storage, volume } = options;
    if (guest.type === "lxc") assertMountpoint(guest, options.mountpoint);
    if (volume !== undefined) return volumePlace(guest, volume, options);
    const bytes = readSize(size ?? "");
    await assertHolds(
      { storages: this.#storages, lookup: this.#lookup },
      storage ?? "",
      guest,
      call,
    );
    const same = sameDisk(guest, options, bytes);
    if (same !== undefined) return { key: same };
    const key = slotFor(guest, options.slot, "scsi");
    return { key, value: withOptions(guest, `${storage}:${bytes / gib}`, options) };
  }
}

function attachPlan(guest: Identified, { key, value }: Placed, options: AttachOptions): Plan {
  const what = options.volume ?? `a new disk of ${options.size} on ${options.storage}`;
  const says = `attaches ${what} to ${words(guest)} as ${key}`;
  if (value === undefined) return { says, against: [], touches: [] };
  const storage = options.storage ?? storageOf(value);
  return {
    says,
    against: lockedBy(guest),
    touches: diskTouches(guest, storage),
    ...configChange(guest, { [key]: value }),
  };
}

function assertOneSource({ size, storage, volume }: AttachOptions): void {
  const fresh = size !== undefined && storage !== undefined;
  const either = volume === undefined ? fresh : size === undefined && storage === undefined;
  if (either) return;
  throw new Problem("invalid_input", "Give either size and storage, or volume.", {
    next: 'A new disk: size: "32G", storage: "local-lvm". One that is there: volume: "unused0".',
    facts: { argument: volume === undefined ? "size" : "volume" },
  });
}

/** Which volume it is and how large it gets is said by other arguments. */
function assertOptions(options: string | undefined): void {
  const wrong = (options ?? "backup=1").split(",").filter((piece) => {
    const [, key = ""] = /^([a-z][\w-]*)=[^=\s]+$/i.exec(piece) ?? [];
    return key === "" || /^(?:file|volume|size|mp|media|import-from|format)$/.test(key);
  });
  if (wrong.length === 0) return;
  throw new Problem("invalid_input", `options can't have "${wrong[0]?.slice(0, 40)}".`, {
    next: 'Give options of the disk like "ssd=1,discard=on", or leave options out.',
    facts: { argument: "options" },
  });
}

function assertMountpoint(guest: Identified, mountpoint: string | undefined): void {
  if (mountpoint?.startsWith("/") && !/[,\s]/.test(mountpoint) && mountpoint !== "/") return;
  throw new Problem("invalid_input", `Where is ${words(guest)} to mount it?`, {
    next: 'Give mountpoint, an absolute path inside the container: "/srv/data".',
    facts: { ...who(guest), argument: "mountpoint" },
  });
}

/** A disk that an earlier try has made: of that size on that storage, at the place that was named. */
function sameDisk(guest: Identified, options: AttachOptions, bytes: number): string | undefined {
  const { slot, storage, mountpoint } = options;
  const disk = guest.config.disks.find((one) =>
    guest.type === "lxc" ? one.mountpoint === mountpoint : one.key === slot,
  );
  if (!disk) return undefined;
  if (disk.storage === storage && disk.sizeBytes === bytes) return disk.key;
  throw taken(guest, disk);
}

/** A volume that the guest owns, or a CD image. */
function volumePlace(guest: Identified, given: string, options: AttachOptions): Placed {
  const { disks } = guest.config;
  const byKey = disks.find((disk) => disk.key === given);
  const volid = byKey?.volid ?? given;
  const used = disks.find((disk) => disk.volid === volid && !disk.key.startsWith("unused"));
  if (used) return { key: used.key };
  if (/:iso\//.test(volid)) return isoPlace(guest, volid, options);
  const unused = disks.some((disk) => disk.volid === volid);
  if (!unused) assertOwn(guest, volid);
  if (guest.type === "lxc") sameDisk(guest, options, -1);
  const key = slotFor(guest, options.slot, "scsi");
  return { key, value: withOptions(guest, volid, options) };
}

/** An empty drive takes it, else a new one does. */
function isoPlace(guest: Identified, volid: string, { slot }: AttachOptions): Placed {
  if (guest.type === "lxc") {
    throw new Problem("invalid_input", `${words(guest)} is a container and has no CD drives.`, {
      next: "Attach images to VMs only.",
      facts: { ...who(guest), argument: "volume" },
    });
  }
  const fits = (key: string) => slot === undefined || key.startsWith(slot);
  const empty = guest.config.disks.find((disk) => disk.volid === "none" && fits(disk.key));
  const key = empty?.key ?? slotFor(guest, slot, "ide", volid);
  return { key, value: `${volid},media=cdrom` };
}

/** The place that was named, or the first free one of its bus. */
function slotFor(
  guest: Identified,
  slot: string | undefined,
  usual: string,
  image?: string,
): string {
  const wanted = (slot ?? (guest.type === "lxc" ? "mp" : usual)).trim().toLowerCase();
  const [, bus = "", index = ""] = /^([a-z]+)(\d{0,3})$/.exec(wanted) ?? [];
  const last = (guest.type === "lxc") === (bus === "mp") ? greatest[bus] : undefined;
  if (last === undefined || Number(index) > last) throw noSlot(guest, wanted);
  const used = new Set(guest.config.disks.map((disk) => disk.key));
  if (index !== "") {
    const holder = guest.config.disks.find((disk) => disk.key === wanted);
    if (holder) throw taken(guest, holder, image);
    return wanted;
  }
  for (let free = bus === "ide" ? 2 : 0, tries = 0; tries <= last; tries++) {
    const key = `${bus}${(free + tries) % (last + 1)}`;
    if (!used.has(key)) return key;
  }
  throw conflict(
    guest,
    `has no free place on ${bus}`,
    "Name another bus as slot: scsi, virtio, sata.",
  );
}

/** A disc is changed, a disk is taken out. */
function taken(guest: Identified, { key, volid, cdrom }: Disk, image?: string): Problem {
  const subject = `guest: "${guest.vmid}"`;
  const change = `${image === undefined ? "empty the drive" : "put this one in instead"} with update_guest {${subject}, set: {"${key}": "${image ?? "none"},media=cdrom"}}`;
  const out = `take that one out with detach_disk {${subject}, disk: "${key}"}`;
  return conflict(
    guest,
    `has ${volid} at ${key} already`,
    `Leave the place out, name another, or ${cdrom ? change : out}.`,
  );
}

function noSlot(guest: Identified, slot: string): Problem {
  const buses =
    guest.type === "lxc" ? "mp0, mp1, …" : "scsi, virtio, sata or ide, or one like scsi1";
  return new Problem("invalid_input", `${slot.slice(0, 20)} is no place for a disk.`, {
    next: `Leave slot out, or give ${buses}.`,
    facts: { ...who(guest), argument: "slot" },
  });
}

function withOptions(guest: Identified, volume: string, { options, mountpoint }: AttachOptions) {
  const mount = guest.type === "lxc" ? [`mp=${mountpoint}`] : [];
  return [volume, ...mount, ...(options ? [options] : [])].join(",");
}
