import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { Call } from "../api/call.ts";
import type { Disk } from "../api/guest-config.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { digestConflict, explainUpdate } from "../config/update-refusals.ts";
import {
  type Changed,
  type ChangeOptions,
  type Changes,
  conflict,
  lockedBy,
} from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import type { Plan } from "../tasks/plan.ts";
import type { DiskDependents } from "./disk-dependents.ts";
import {
  assertHolds,
  diskOf,
  diskTouches,
  pendingDisk,
  readSize,
  who,
  words,
  writtenSize,
} from "./guest-disks.ts";

export interface ResizeOptions extends ChangeOptions {
  /** `scsi0`, `rootfs`, `mp0` … */
  readonly disk: string;
  /** `64G`, or `+8G` more. */
  readonly size: string;
  readonly digest?: string | undefined;
}

export interface MoveOptions extends ChangeOptions {
  readonly disk: string;
  readonly storage: string;
  /** The old volume goes; otherwise it stays as an unused disk. */
  readonly deleteSource: boolean;
}

export interface DiskChanged extends Changed<Identified> {
  readonly disk: string;
  /** The volume as it was before. */
  readonly volid: string;
  /** In bytes, as wanted. */
  readonly sizeBytes?: number | undefined;
  /** The call can say which configuration its caller has seen. */
  readonly takesDigest: boolean;
}

/** Growing and moving disks. PVE: PUT …/resize, POST …/qemu/{vmid}/move_disk, POST …/lxc/{vmid}/move_volume */
export class DiskChanges {
  readonly #changes: Changes;
  readonly #storages: Storages;
  readonly #lookup: Lookup;
  readonly #dependents: DiskDependents;
  readonly #verbs: Verbs;

  constructor(base: {
    readonly verbs: Verbs;
    readonly changes: Changes;
    readonly storages: Storages;
    readonly lookup: Lookup;
    readonly dependents: DiskDependents;
  }) {
    this.#verbs = base.verbs;
    this.#changes = base.changes;
    this.#storages = base.storages;
    this.#lookup = base.lookup;
    this.#dependents = base.dependents;
  }

  /**
   * Grows a disk; one that has the size already is left alone. Throws `invalid_input` for a smaller size, `not_found` for the disk,
   * `conflict` for another digest, `locked`.
   */
  async resize(reference: string, call: Call, options: ResizeOptions): Promise<DiskChanged> {
    let sizeBytes: number | undefined;
    const changed = await this.#run(reference, call, options, true, async (guest, disk) => {
      refuseUnused(guest, disk, "grown");
      const wanted = wantedSize(guest, disk, options.size);
      sizeBytes = wanted.bytes;
      const grown = resizePlan(guest, disk, wanted.text, options.digest);
      if (!grown.request) return grown;
      const pending = await pendingDisk(guest, disk, this.#verbs, call);
      return { ...grown, against: [...grown.against, ...pending] };
    });
    return { ...changed, sizeBytes };
  }

  /**
   * Copies a disk to another storage and goes on with the copy. Throws `not_found`, `invalid_input` for a storage without such
   * content, `conflict` for a running container, `locked`.
   */
  async move(reference: string, call: Call, options: MoveOptions): Promise<DiskChanged> {
    return this.#run(reference, call, options, false, async (guest, disk) => {
      const places = { storages: this.#storages, lookup: this.#lookup };
      await assertHolds(places, options.storage, guest, call);
      const moved = movePlan(guest, disk, options);
      if (!options.deleteSource || !moved.request) return moved;
      const dependents = await this.#dependents.against(guest, disk, call);
      return { ...moved, against: [...moved.against, ...dependents] };
    });
  }

  /** What a failed task, or a refusal, means: somebody else was faster, or what PVE says. */
  explain(problem: Problem, changed: Begun, call: Call): Promise<Problem> {
    const { guest, disk, takesDigest } = changed;
    const changes = { set: { [disk]: "" }, remove: [] };
    return explainUpdate(problem, { guest, changes, takesDigest }, this.#verbs, call);
  }

  async #run(
    reference: string,
    call: Call,
    { disk: key, dryRun }: ChangeOptions & { readonly disk: string },
    takesDigest: boolean,
    plan: (guest: Identified, disk: Disk) => Plan | Promise<Plan>,
  ): Promise<DiskChanged> {
    let known: { readonly guest: Identified; readonly disk: Disk } | undefined;
    const planned = (guest: Identified) => {
      known = { guest, disk: diskOf(guest, key) };
      return plan(guest, known.disk);
    };
    const change = { reference, kind: "any" as const, state: true, plan: planned };
    try {
      const changed = await this.#changes.run(change, call, { dryRun });
      const { volid = "", sizeBytes } = known?.disk ?? {};
      return { ...changed, disk: known?.disk.key ?? "", volid, sizeBytes, takesDigest };
    } catch (error) {
      if (!known || !isProblem(error)) throw error;
      const begun = { guest: known.guest, disk: known.disk.key, takesDigest };
      throw await this.explain(error, begun, call);
    }
  }
}

type Begun = Pick<DiskChanged, "guest" | "disk" | "takesDigest">;

/** The size to ask for; more than now is asked for as a whole, so that a repetition does not grow the disk twice. */
function wantedSize(guest: Identified, disk: Disk, given: string) {
  const more = given.trim().startsWith("+");
  const asked = readSize(given.replace("+", ""));
  const now = disk.sizeBytes;
  if (now === undefined) return { bytes: undefined, text: given.trim() };
  const wanted = more ? now + asked : asked;
  if (wanted >= now)
    return { bytes: wanted, text: wanted === now ? undefined : writtenSize(wanted) };
  throw new Problem(
    "invalid_input",
    `${disk.key} of ${words(guest)} has ${bytes(now)}; disks only grow.`,
    {
      next: `Give more than ${writtenSize(now)}, or +8G for 8 GiB more.`,
      facts: { ...who(guest), argument: "size", disk: disk.key, size_bytes: now },
    },
  );
}

function resizePlan(
  guest: Identified,
  disk: Disk,
  size: string | undefined,
  digest: string | undefined,
): Plan {
  const says = `grows ${disk.key} of ${words(guest)} to ${size ?? "its size"}`;
  if (size === undefined) return { says, against: [], touches: [] };
  const { config } = guest;
  const isStale = digest !== undefined && digest !== config.digest;
  const update = { guest, changes: { set: { [disk.key]: "" }, remove: [] }, takesDigest: true };
  return {
    says,
    against: [...(isStale ? [digestConflict(update, config)] : []), ...lockedBy(guest)],
    touches: diskTouches(guest, disk.storage),
    request: {
      method: "PUT",
      path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/resize`,
      params: { disk: disk.key, size, digest: config.digest },
    },
  };
}

function movePlan(guest: Identified, disk: Disk, { storage, deleteSource }: MoveOptions): Plan {
  const { type, node, vmid, config } = guest;
  const says = `copies ${disk.key} (${disk.volid}) of ${words(guest)} to ${storage} and ${deleteSource ? "deletes the old volume" : "keeps the old volume as an unused disk"}`;
  refuseUnused(guest, disk, "moved");
  if (disk.storage === storage) return { says, against: [], touches: [] };
  const vm = type === "qemu";
  const running = !vm && guest.status?.status === "running";
  const next = `Stop it first: stop_guest {guest: "${vmid}"}.`;
  const what = "runs, and only a stopped container's volumes are moved";
  const key = vm ? { disk: disk.key } : { volume: disk.key };
  return {
    says,
    against: [...lockedBy(guest), ...(running ? [conflict(guest, what, next)] : [])],
    touches: diskTouches(guest, disk.storage, storage),
    request: {
      method: "POST",
      path: path`/nodes/${node}/${type}/${vmid}/${vm ? "move_disk" : "move_volume"}`,
      params: { ...key, storage, delete: deleteSource || undefined, digest: config.digest },
    },
  };
}

/** A volume that nothing uses has no size of its own in the configuration, and no place to move from. */
function refuseUnused(guest: Identified, disk: Disk, what: string): void {
  if (!disk.key.startsWith("unused")) return;
  throw new Problem("invalid_input", `${disk.key} of ${words(guest)} is unused and not ${what}.`, {
    next: `Attach it first: attach_disk {guest: "${guest.vmid}", volume: "${disk.key}"}.`,
    facts: { ...who(guest), argument: "disk", disk: disk.key },
  });
}
