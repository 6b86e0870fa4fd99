import { forbidden } from "../../http/permission.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { type GuestType, given, guestWords } from "../api/values.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { GuestRow } from "../cluster/inventory.ts";
import { knownNode } from "../cluster/known-nodes.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { PartialContent, Storages, UnaskedStorage } from "../storage/storages.ts";
import type { Volume } from "../storage/volumes.ts";

/** The backups of one guest, or of a vmid that no guest has any more. */
export interface BackedUp {
  readonly vmid: number;
  readonly type: GuestType;
  readonly name?: string;
  /** Absent where the guest is gone. */
  readonly node?: string;
  /** The newest first. */
  readonly backups: readonly Volume[];
}

export interface BackupFilter {
  readonly storage?: string | undefined;
  readonly node?: string | undefined;
  /** Only guests whose newest is older than this, in ms, or who have none. */
  readonly olderThanMs?: number | undefined;
}

export interface BackupSurvey {
  readonly guests: readonly BackedUp[];
  /** What could not be read: who has no backup elsewhere may have some there, also after a migration. */
  readonly unasked: readonly UnaskedStorage[];
}

/** Who has been backed up, and when. PVE: GET /nodes/{node}/storage/{storage}/content */
export class Backups {
  readonly #lookup: Lookup;
  readonly #storages: Storages;
  readonly #cluster: Cluster;
  readonly #principal: string;

  constructor(lookup: Lookup, storages: Storages, cluster: Cluster, principal: string) {
    this.#lookup = lookup;
    this.#storages = storages;
    this.#cluster = cluster;
    this.#principal = principal;
  }

  /**
   * All guests with their backups, the gaps first: who has none, then by the age of the newest; templates and vmids without a guest
   * count where they have some. Each storage that may hold backups is asked once, a local one on each of its nodes. Throws `not_found`
   * for a node that is not there, `invalid_input` for a storage that holds no backups, what `place` throws for it, and the problem of
   * the first where none could be asked.
   */
  async survey(filter: BackupFilter, now: number, call: Call): Promise<BackupSurvey> {
    if (filter.node !== undefined) await knownNode(this.#lookup, filter.node, call);
    const { volumes, unasked } = await this.#read(filter.storage, call);
    // Only now: a guest that was destroyed meanwhile is not told as one that lives.
    const inventory = await this.#lookup.inventory(call);
    const byGuest = grouped(volumes);
    const living = this.#lookup.rows(inventory).map((row): BackedUp & { template: boolean } => ({
      type: row.type,
      vmid: row.vmid,
      node: row.node,
      template: row.template,
      ...given({ name: this.#lookup.names.nameOf(row, inventory) }),
      backups: newestFirst(byGuest.get(`${row.type}/${row.vmid}`) ?? []),
    }));
    const known = new Set(living.map(({ type, vmid }) => `${type}/${vmid}`));
    const gone = [...byGuest].flatMap(([key, backups]): BackedUp[] => {
      const [first] = backups;
      if (!first || known.has(key)) return [];
      return [{ type: typeOf(first), vmid: first.vmid ?? 0, backups: newestFirst(backups) }];
    });
    const relevant = living.filter(({ template, backups }) => !template || backups.length > 0);
    const guests = [...relevant, ...gone]
      .filter((one) => filter.node === undefined || one.node === filter.node)
      .filter((one) => isOlder(one, filter.olderThanMs, now))
      .sort(byGap);
    return { guests, unasked };
  }

  /** The backups of one guest, the newest first. Throws what a lookup throws, and what `survey` does; a `node` must be its own. */
  async ofGuest(
    reference: string,
    { storage, node: wished }: Pick<BackupFilter, "storage" | "node">,
    call: Call,
  ): Promise<{ readonly guest: BackedUp; readonly unasked: readonly UnaskedStorage[] }> {
    if (wished !== undefined) await knownNode(this.#lookup, wished, call);
    const [{ row, name }, { volumes, unasked }] = await Promise.all([
      this.#lookup.guest(reference, "any", call),
      this.#read(storage, call),
    ]);
    const { type, vmid, node } = row;
    if (wished !== undefined && wished !== node) throw elsewhere(row, name, wished);
    const own = volumes.filter((one) => one.vmid === vmid && typeOf(one) === type);
    return { guest: { type, vmid, node, ...given({ name }), backups: newestFirst(own) }, unasked };
  }

  /** The backups on one storage or on all that may hold some. */
  async #read(
    storage: string | undefined,
    call: Call,
  ): Promise<{ readonly volumes: readonly Volume[]; readonly unasked: readonly UnaskedStorage[] }> {
    const names = storage === undefined ? await this.#fit(call) : [storage];
    if (storage !== undefined) await this.#assertFit(storage, call);
    const volumes: Volume[] = [];
    const unasked: UnaskedStorage[] = [];
    let answered = 0;
    const read = async (name: string) => {
      try {
        const content = await this.#content(name, storage !== undefined, call);
        if (content.answered) answered++;
        volumes.push(...content.volumes.filter((volume) => volume.content === "backup"));
        unasked.push(...content.unasked);
      } catch (problem) {
        if (!isProblem(problem) || problem.kind === "cancelled" || storage !== undefined)
          throw problem;
        unasked.push({ storage: name, problem });
      }
    };
    await Promise.all(names.map(read));
    if (answered === 0) throw unasked[0]?.problem ?? nowhere();
    if (volumes.length === 0) await this.#assertMaySee(call);
    return { volumes, unasked };
  }

  /** Who `named` a storage is told by a problem where none of its nodes answers. */
  async #content(storage: string, named: boolean, call: Call): Promise<PartialContent> {
    if (!named) return this.#storages.partialContent(storage, call);
    const { volumes, unasked } = await this.#storages.content(storage, {}, call);
    return { volumes, unasked: unasked.map((one) => ({ storage, ...one })), answered: true };
  }

  /** The storages that may hold backups. */
  async #fit(call: Call): Promise<readonly string[]> {
    const listed = await this.#storages.list({ content: "backup" }, call);
    return [...new Set(listed.map(({ row }) => row.storage))];
  }

  async #assertFit(storage: string, call: Call): Promise<void> {
    const { content } = await this.#storages.place(storage, undefined, call);
    if (content.includes("backup")) return;
    const fit = await this.#fit(call);
    const holds = `Storage ${storage} may not hold backups, but ${content.join(", ") || "nothing"}.`;
    throw new Problem("invalid_input", holds, {
      next:
        fit.length === 0 ? "No other one may either (list_storage)." : `Use ${fit.join(" or ")}.`,
      facts: { argument: "storage", storage, storages: fit },
    });
  }

  /** PVE leaves out what one may not use: then nothing seen does not mean that nothing is there. */
  async #assertMaySee(call: Call): Promise<void> {
    const held = [...(await this.#cluster.permissions(call)).values()].flat();
    if (held.includes("VM.Backup") || held.includes("Datastore.Allocate")) return;
    const missing = { path: "/vms", privileges: ["VM.Backup"] };
    const text = "(nothing: it leaves out the backups that one may not use)";
    throw forbidden(text, missing, this.#principal, "Seeing backups");
  }
}

/** Of which kind of guest a backup is. PVE: pve-storage src/PVE/Storage/Plugin.pm, PBSPlugin.pm (names of backups) */
export function typeOf({ volid }: Pick<Volume, "volid">): GuestType {
  return /vzdump-(?:lxc|openvz)-|:backup\/ct\//.test(volid) ? "lxc" : "qemu";
}

/** By `type/vmid`. */
function grouped(volumes: readonly Volume[]): ReadonlyMap<string, readonly Volume[]> {
  const groups = new Map<string, Volume[]>();
  for (const volume of volumes) {
    const key = `${typeOf(volume)}/${volume.vmid}`;
    const group = groups.get(key);
    if (group) group.push(volume);
    else groups.set(key, [volume]);
  }
  return groups;
}

function newestFirst(volumes: readonly Volume[]): readonly Volume[] {
  return volumes.toSorted((a, b) => (b.createdAt ?? 0) - (a.createdAt ?? 0));
}

function isOlder({ backups }: BackedUp, ms: number | undefined, now: number): boolean {
  const newest = backups[0]?.createdAt;
  return ms === undefined || newest === undefined || now - newest > ms;
}

/** Guests without any, then the longest without one; what has no guest any more comes last. */
function byGap(a: BackedUp, b: BackedUp): number {
  const gone = Number(a.node === undefined) - Number(b.node === undefined);
  const age = (a.backups[0]?.createdAt ?? 0) - (b.backups[0]?.createdAt ?? 0);
  return gone || age || a.vmid - b.vmid;
}

function elsewhere(row: GuestRow, name: string | undefined, node: string): Problem {
  const where = `${guestWords(row, name)} is on ${row.node}, not on ${node}.`;
  return new Problem("invalid_input", where, {
    next: "Leave node out: a guest's backups are found wherever they are.",
    facts: { argument: "node", vmid: row.vmid, node: row.node },
  });
}

function nowhere(): Problem {
  return new Problem("not_found", "No storage that these credentials see may hold backups.", {
    next: "list_storage shows the storages and what they may hold.",
  });
}
