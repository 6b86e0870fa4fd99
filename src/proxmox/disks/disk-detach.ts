import { isProblem, Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { Call } from "../api/call.ts";
import type { Disk } from "../api/guest-config.ts";
import type { Verbs } from "../api/verbs.ts";
import { configQuestion } from "../cluster/lookup.ts";
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
import { isOwn } from "../storage/volume-owner.ts";
import type { Plan } from "../tasks/plan.ts";
import type { DiskDependents } from "./disk-dependents.ts";
import { diskOf, diskTouches, pendingDisk, who, words } from "./guest-disks.ts";

export interface DetachOptions extends Pick<ChangeOptions, "dryRun"> {
  readonly disk: string;
  /** The data goes too; otherwise the volume stays as an unused disk. */
  readonly destroy: boolean;
  /** Asked with what is lost, line by line. */
  readonly confirm: (guest: Identified, lost: readonly string[]) => Promise<void> | void;
}

export interface Detached extends Changed<Identified> {
  readonly disk: string;
  readonly volid: string;
  /** Of another guest or of nobody otherwise: then it stays as it is. */
  readonly own: boolean;
  /** A container's volume is destroyed by a request of its own; this one failed. */
  readonly kept?: Problem | undefined;
}

/** Taking disks out. PVE: `delete` of a configuration's option; an unused one is destroyed by it, others with `force` (VMs only). */
export class DiskDetachment {
  readonly #verbs: Verbs;
  readonly #changes: Changes;
  readonly #dependents: DiskDependents;

  constructor(verbs: Verbs, changes: Changes, dependents: DiskDependents) {
    this.#verbs = verbs;
    this.#changes = changes;
    this.#dependents = dependents;
  }

  /**
   * Takes a disk out of its guest. One that is unused already is left alone unless it is to be destroyed. Throws `not_found`,
   * `invalid_input` for a root file system, `conflict` for a protected guest, a volume that snapshots or linked clones need and a disk
   * that is only pending, `locked`, and what `confirm` throws.
   */
  async detach(reference: string, call: Call, options: DetachOptions): Promise<Detached> {
    let disk: Disk | undefined;
    let known: Identified | undefined;
    const plan = async (guest: Identified) => {
      disk = diskOf(guest, options.disk);
      const detached = detachPlan(guest, disk, options.destroy);
      if (!options.destroy || !isOwn(guest, disk.volid)) return detached;
      const needed = await this.#dependents.against(guest, disk, call);
      const pending = await pendingDisk(guest, disk, this.#verbs, call);
      return { ...detached, against: [...detached.against, ...needed, ...pending] };
    };
    const change = { reference, kind: "any" as const, state: true, plan };
    const run = this.#changes.run(change, call, {
      dryRun: options.dryRun,
      confirm: (guest) => {
        known = guest;
        if (disk) return options.confirm(guest, losses(guest, disk, options.destroy));
      },
    });
    const changed = await run.catch(async (error: unknown) => {
      if (!known || !disk || !isProblem(error)) throw error;
      throw await this.explain(error, { guest: known, disk: disk.key }, call);
    });
    const { key = "", volid = "" } = disk ?? {};
    const own = isOwn(changed.guest, volid);
    const second = changed.changed && own && needsSecond(changed.guest, key, options.destroy);
    const kept = second ? await this.#destroy(changed.guest, volid, call) : undefined;
    return { ...changed, disk: key, volid, own, kept };
  }

  /** What a failed task, or a refusal, means: somebody else was faster, or what PVE says. */
  explain(problem: Problem, { guest, disk }: Pick<Detached, "guest" | "disk">, call: Call) {
    const changes = { set: {}, remove: [disk] };
    return explainUpdate(problem, { guest, changes, takesDigest: false }, this.#verbs, call);
  }

  /** The volume stands as unused now, under whichever number. */
  async #destroy(guest: Identified, volid: string, call: Call): Promise<Problem | undefined> {
    let key = "unused";
    try {
      const config = await this.#verbs.live(call, configQuestion(guest.row));
      const unused = config.disks.find(
        (disk) => disk.key.startsWith("unused") && disk.volid === volid,
      );
      if (!unused) return undefined;
      key = unused.key;
      const { request } = configChange({ ...guest, config }, { delete: key });
      const touches = diskTouches(guest, unused.storage);
      if (request) await this.#changes.deliver(request, { touches }, call);
      return undefined;
    } catch (error) {
      if (!isProblem(error)) throw error;
      const why = await this.explain(error, { guest, disk: key }, call);
      return undestroyed(guest, volid, why);
    }
  }
}

function undestroyed(guest: Identified, volid: string, cause: Problem): Problem {
  const { kind, message, facts } = cause;
  const what = `${volid} was taken out of ${words(guest)}, but not destroyed`;
  return new Problem(kind, `${what}: ${message}`, {
    next: `Its data is kept as an unused disk; look which (get_container), then detach_disk {guest: "${guest.vmid}", disk: "unused0", destroy: true}.`,
    facts: { ...facts, ...who(guest), volume: volid },
    cause,
  });
}

function needsSecond(guest: Identified, key: string, destroy: boolean): boolean {
  return guest.type === "lxc" && destroy && !key.startsWith("unused");
}

function detachPlan(guest: Identified, disk: Disk, destroy: boolean): Plan {
  const { key, volid, storage } = disk;
  const unused = key.startsWith("unused");
  const fate = fateOf(guest, volid, destroy);
  const says = `takes ${key} (${volid}) out of ${words(guest)} and ${fate}`;
  if (key === "rootfs") throw root(guest);
  if (unused && !destroy) return { says, against: [], touches: [] };
  const force = guest.type === "qemu" && destroy && !unused;
  return {
    says,
    against: [...lockedBy(guest), ...kept(guest), ...running(guest, key, destroy)],
    touches: diskTouches(guest, storage),
    ...configChange(guest, { delete: key, force: force || undefined }),
  };
}

/** PVE destroys and keeps only what the guest owns; the rest it forgets. */
function fateOf(guest: Identified, volid: string, destroy: boolean): string {
  if (!isOwn(guest, volid)) return "leaves the volume as it is, since it is not its own";
  return destroy ? "destroys it with its data" : "keeps it as an unused disk";
}

function root(guest: Identified): Problem {
  return new Problem("invalid_input", `rootfs is what ${words(guest)} runs from.`, {
    next: "Move it with move_disk, or delete the container with delete_guest.",
    facts: { ...who(guest), argument: "disk" },
  });
}

/** PVE: AbstractConfig.pm check_protection */
function kept(guest: Identified): readonly Problem[] {
  if (!guest.config.protection) return [];
  const next = `If its disks are to go, take the protection off: update_guest {guest: "${guest.vmid}", set: {"protection": "0"}}.`;
  return [conflict(guest, "is protected, and its disks with it", next)];
}

/** A mount point of a running container is only marked; its volume can't be destroyed until it stops. */
function running(guest: Identified, key: string, destroy: boolean): readonly Problem[] {
  const late = needsSecond(guest, key, destroy) && guest.status?.status === "running";
  if (!late) return [];
  const next = `Stop it first (stop_guest {guest: "${guest.vmid}"}), or leave destroy out.`;
  return [conflict(guest, "runs, so its mount points can't be destroyed", next)];
}

function losses(guest: Identified, disk: Disk, destroy: boolean): readonly string[] {
  const { key, volid, sizeBytes } = disk;
  const size = sizeBytes === undefined ? "" : `, ${bytes(sizeBytes)}`;
  const boot = String(guest.config.options["boot"] ?? "").includes(key);
  const stays = isOwn(guest, volid) ? "stays as an unused disk" : "is not its own and stays";
  const fate =
    destroy && isOwn(guest, volid) ? "with all data on it" : `from the guest; its data ${stays}`;
  return [
    `disk ${key} (${volid}${size}) ${fate}`,
    ...(boot ? [`${key} is in the boot order`] : []),
  ];
}
