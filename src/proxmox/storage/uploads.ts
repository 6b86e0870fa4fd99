import { Semaphore } from "async-mutex";
import { outcome } from "../../each.ts";
import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { record } from "../api/values.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { Changes } from "../guests/changes.ts";
import type { Plan } from "../tasks/plan.ts";
import type { FollowUp, Task } from "../tasks/task.ts";
import { type FileOrder, readChecksum, uploadName } from "./download-source.ts";
import type { Storages } from "./storages.ts";
import {
  broken,
  incomparable,
  mayNotUpload,
  otherContent,
  otherFile,
  privilege,
} from "./upload-problems.ts";
import { sending, type UploadSource } from "./upload-progress.ts";
import { digest, KnownUploads, type Sums } from "./upload-sums.ts";
import { VolumeUse } from "./volume-use.ts";
import { type Destination, fileKey, type Volume } from "./volumes.ts";

export interface UploadOrder extends FileOrder {
  readonly source: UploadSource;
  readonly overwrite?: boolean | undefined;
}

/** An upload that was planned, not needed, or sent. */
export interface Upload extends Destination {
  readonly existed: boolean;
  readonly changed: boolean;
  readonly plan: Plan;
  /** A file of that size was there, and nobody can say whether it is the same. */
  readonly uncompared?: boolean;
  /** What could not be looked at for uses of the file that is overwritten. */
  readonly unchecked: readonly string[];
  readonly task?: Task;
}

interface Parts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly storages: Storages;
  /** The node that a file would go through. */
  readonly where: (order: UploadOrder, call: Call) => Promise<Pick<Destination, "node" | "shared">>;
  readonly changes: Changes;
  readonly principal: string;
}

/** One upload keeps one of the few connections busy for minutes: the others are for everybody else. */
const atOnce = 2;
/** Slower than this, in bytes per ms, a line is taken for dead; and what sending may take besides. */
const slowest = 256;
const spareMs = 600_000;

/**
 * Files of this computer to a storage. They are read twice: PVE wants the checksum before the file. Proxmox itself overwrites
 * what is there without a word. PVE: POST /nodes/{node}/storage/{storage}/upload
 */
export class Uploads {
  readonly #parts: Parts;
  readonly #use: VolumeUse;
  readonly #known = new KnownUploads();
  readonly #lines = new Semaphore(atOnce);
  /** Keys of what is being sent. */
  readonly #running = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#use = new VolumeUse(parts.verbs, parts.lookup);
  }

  /**
   * Sends a file once. Throws `invalid_input` for what PVE would refuse and for a wrong checksum, `conflict` where another file has
   * that name, or one of which nobody knows whether it has the checksum that is given, or where a guest uses the one to be overwritten,
   * `forbidden` before a byte is sent, and `outcome_unknown` where the connection breaks.
   */
  async upload(order: UploadOrder, call: Call): Promise<Upload> {
    const { storage, content, source } = order;
    const filename = uploadName(order.filename ?? source.name, content);
    const checksum = readChecksum(order.checksum, undefined);
    const { node, shared } = await this.#parts.where(order, call);
    await this.#assertAllowed(storage, call);
    const volid = `${storage}:${content}/${filename}`;
    const { volumes } = await this.#parts.storages.content(storage, { node, live: true }, call);
    const there = volumes.find((volume) => volume.volid === volid);
    const at = { storage, node, volid, shared, existed: there !== undefined };
    let sums: Promise<Sums> | undefined;
    const read = () => (sums ??= digest(source, checksum, call));
    const found = { ...at, there, siblings: volumes };
    const { against, same, unchecked = [] } = await this.#compare(order, found, read, call);
    if (same) return { ...leftAlone(at), unchecked, uncompared: same === "size" };
    if (against[0] && !order.dryRun) throw against[0];
    const planned = async () =>
      planOf(at, { content, filename, sums: await read(), source, against });
    if (order.dryRun) return { ...at, changed: false, plan: await planned(), unchecked };
    return this.#alone(at, async () => {
      const plan = await planned();
      const task = await this.#send(plan, at, { filename, source, sums: await read() }, call);
      return { ...at, changed: true, plan, unchecked, task };
    });
  }

  /** One upload of a name at a time: that of the other would overwrite it. */
  async #alone<T>(at: Destination, run: () => Promise<T>): Promise<T> {
    const [twice] = this.#underWay(at);
    if (twice) throw twice;
    const key = fileKey(at);
    this.#running.add(key);
    try {
      return await run();
    } finally {
      this.#running.delete(key);
    }
  }

  #underWay(at: Destination): readonly Problem[] {
    if (!this.#running.has(fileKey(at))) return [];
    const { volid, node } = at;
    const next = "Wait until it is there: get_tasks shows its import.";
    const message = `${volid} is being uploaded already.`;
    return [new Problem("conflict", message, { next, facts: { volid, node } })];
  }

  /** Before the file is sent, not after it, as PVE would. PVE: GET /access/permissions */
  async #assertAllowed(storage: string, call: Call): Promise<void> {
    const at = `/storage/${storage}`;
    const held = await this.#parts.verbs.observe(call, {
      path: path`/access/permissions`,
      params: { path: at },
      freshness: fresh("permissions", tags.access),
      parse: (data) => Object.keys(record(record(data)[at])),
    });
    if (!held.includes(privilege)) throw mayNotUpload(at, this.#parts.principal);
  }

  /** What is there under that name: the same file, as far as can be known, or what speaks against putting this one in its place. */
  async #compare(
    { source, overwrite, checksum }: UploadOrder,
    found: Found,
    read: () => Promise<Sums>,
    call: Call,
  ): Promise<Comparison> {
    const { there } = found;
    const underWay = this.#underWay(found);
    if (underWay.length > 0 || !there) return { against: underWay };
    if (overwrite) return this.#uses(there, found.siblings, call);
    if (there.sizeBytes !== source.sizeBytes) return { against: [otherFile(there, source)] };
    const known = this.#known.sumOf(there);
    if (known === undefined && checksum === undefined) return { against: [], same: "size" };
    // A wrong checksum of the file here is told first.
    const { sha256 } = await read();
    if (known === sha256) return { against: [], same: "content" };
    return { against: [known === undefined ? incomparable(there) : otherContent(there)] };
  }

  async #uses(there: Volume, siblings: readonly Volume[], call: Call): Promise<Comparison> {
    const { volid, node } = there;
    const { by, unchecked } = await this.#use.of(there, siblings, call);
    if (by.length === 0) return { against: [], unchecked };
    const next = "Take it out of there first, or choose another filename.";
    const message = `${volid} is in use: ${by.slice(0, 5).join("; ")}. Nothing was sent.`;
    const facts = { volid, node, uses: by };
    return { against: [new Problem("conflict", message, { next, facts })], unchecked };
  }

  async #send(
    { request, touches }: Plan,
    at: Destination,
    { filename, source, sums }: Sent,
    call: Call,
  ): Promise<Task> {
    if (!request) throw new TypeError("an upload is planned with its request");
    const file = sending(source, call);
    try {
      return await this.#lines.runExclusive(() => {
        call.signal.throwIfAborted();
        const { filename: _, ...params } = request.params ?? {};
        const part = { filename, length: source.sizeBytes, open: file.open };
        const deadlineMs = spareMs + Math.round(source.sizeBytes / slowest);
        const whole: ChangeRequest = { ...request, params, file: part, deadlineMs };
        const follow = { followUp: this.#learning(at, sums) };
        return this.#parts.changes.send(whole, { touches, follow }, call);
      });
    } catch (error) {
      throw isProblem(error, "outcome_unknown") ? broken(error, file, at) : error;
    }
  }

  /** What has come whole is known from then on, for as long as Proxmox lists it with that size and time. */
  #learning({ storage, node, volid }: Destination, { sha256 }: Sums): FollowUp {
    return async (report, call) => {
      const here = { node, live: true };
      const listed = await outcome(this.#parts.storages.content(storage, here, call));
      const stored = listed.ok && listed.value.volumes.find((volume) => volume.volid === volid);
      if (stored) this.#known.learn(stored, sha256);
      return report;
    };
  }
}

function leftAlone(at: Destination) {
  const plan: Plan = { says: `finds ${at.volid} there already`, against: [], touches: [] };
  return { ...at, existed: true, changed: false, plan };
}

interface Found extends Destination {
  readonly there: Volume | undefined;
  readonly siblings: readonly Volume[];
}

interface Comparison {
  readonly against: readonly Problem[];
  /** As far as it could be compared. */
  readonly same?: "content" | "size";
  readonly unchecked?: readonly string[];
}

interface Sent {
  readonly filename: string;
  readonly source: UploadSource;
  readonly sums: Sums;
}

function planOf(
  { storage, node, volid }: Destination,
  file: {
    readonly content: string;
    readonly against: readonly Problem[];
  } & Sent,
): Plan {
  const { content, filename, sums, source, against } = file;
  return {
    says: `uploads ${bytes(source.sizeBytes)} as ${volid} through ${node}`,
    against,
    touches: [tags.storageContent(storage), tags.tasks],
    request: {
      method: "POST",
      path: path`/nodes/${node}/storage/${storage}/upload`,
      // In this order: pveproxy looks for each after the one before.
      params: {
        content,
        "checksum-algorithm": sums.told.algorithm,
        checksum: sums.told.value,
        filename,
      },
    },
  };
}
