import { createHash } from "node:crypto";
import { Semaphore } from "async-mutex";
import { path } from "../http/path.ts";
import { isProblem, Problem } from "../problem.ts";
import { bytes } from "../text.ts";
import type { Call } from "./call.ts";
import type { Changes, Plan } from "./changes.ts";
import {
  type Checksum,
  type DownloadContent,
  extensions,
  normalized,
  readChecksum,
  wanted,
} from "./download-source.ts";
import { fresh, tags } from "./freshness.ts";
import type { Lookup } from "./lookup.ts";
import type { Storages } from "./storages.ts";
import type { Task } from "./task.ts";
import { broken, mayNotUpload, otherFile, privilege } from "./upload-problems.ts";
import { reading, sending } from "./upload-progress.ts";
import { record } from "./values.ts";
import type { ChangeRequest, Verbs } from "./verbs.ts";
import { VolumeUse } from "./volume-use.ts";
import type { Volume } from "./volumes.ts";

/** A file of this computer, read piece by piece; each `open` begins anew. */
export interface UploadSource {
  readonly name: string;
  readonly sizeBytes: number;
  open(): AsyncIterable<Uint8Array>;
}

export interface UploadOrder {
  readonly storage: string;
  readonly source: UploadSource;
  readonly content: DownloadContent;
  readonly filename?: string | undefined;
  readonly checksum?: string | undefined;
  readonly overwrite?: boolean | undefined;
  readonly node?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** An upload that was planned, not needed, or sent. */
export interface Upload {
  readonly storage: string;
  readonly node: string;
  readonly volid: string;
  readonly existed: boolean;
  readonly changed: boolean;
  readonly plan: Plan;
  readonly task?: Task;
}

interface Parts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly storages: Storages;
  /** The node that a file would go through. */
  readonly where: (order: UploadOrder, call: Call) => Promise<string>;
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
  readonly #lines = new Semaphore(atOnce);
  /** `node volid` of what is being sent. */
  readonly #running = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#use = new VolumeUse(parts.verbs, parts.lookup);
  }

  /**
   * Sends a file once. Throws `invalid_input` for what PVE would refuse and for a wrong checksum, `conflict` where another file has
   * that name or a guest uses the one to be overwritten, `forbidden` before a byte is sent, and `outcome_unknown` where the connection breaks.
   */
  async upload(order: UploadOrder, call: Call): Promise<Upload> {
    const { storage, content, source } = order;
    const filename = readName(order.filename ?? source.name, content);
    const checksum = readChecksum(order.checksum, undefined);
    const node = await this.#parts.where(order, call);
    await this.#assertAllowed(storage, call);
    const volid = `${storage}:${content}/${filename}`;
    const { volumes } = await this.#parts.storages.content(storage, { node, live: true }, call);
    const there = volumes.find((volume) => volume.volid === volid);
    const at = { storage, node, volid, existed: there !== undefined };
    if (there?.sizeBytes === source.sizeBytes && !order.overwrite) {
      const says = `finds ${volid} there already`;
      return { ...at, changed: false, plan: { says, against: [], touches: [] } };
    }
    const against = await this.#against(order, { ...at, there, siblings: volumes }, call);
    if (against[0] && !order.dryRun) throw against[0];
    const planned = async () => {
      const sum = await digest(source, checksum, call);
      return planOf(at, { content, filename, sum, source, against });
    };
    if (order.dryRun) return { ...at, changed: false, plan: await planned() };
    return this.#alone(at, async () => {
      const plan = await planned();
      const task = await this.#send(plan, at, { filename, source }, call);
      return { ...at, changed: true, plan, task };
    });
  }

  /** One upload of a name at a time: that of the other would overwrite it. */
  async #alone<T>(at: Place, run: () => Promise<T>): Promise<T> {
    const [twice] = this.#underWay(at);
    if (twice) throw twice;
    const key = keyOf(at);
    this.#running.add(key);
    try {
      return await run();
    } finally {
      this.#running.delete(key);
    }
  }

  #underWay(at: Place): readonly Problem[] {
    if (!this.#running.has(keyOf(at))) return [];
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

  async #against(
    { source, overwrite }: UploadOrder,
    { there, siblings, ...at }: Found,
    call: Call,
  ): Promise<readonly Problem[]> {
    const { volid, node } = at;
    const underWay = this.#underWay(at);
    if (underWay.length > 0 || !there) return underWay;
    if (!overwrite) return [otherFile(there, source)];
    const { by } = await this.#use.of(there, siblings, call);
    if (by.length === 0) return [];
    const next = "Take it out of there first, or choose another filename.";
    const message = `${volid} is in use: ${by.slice(0, 5).join("; ")}. Nothing was sent.`;
    return [new Problem("conflict", message, { next, facts: { volid, node, uses: by } })];
  }

  async #send(
    { request, touches }: Plan,
    { volid, storage }: Place,
    { filename, source }: { readonly filename: string; readonly source: UploadSource },
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
        return this.#parts.changes.send(whole, { touches }, call);
      });
    } catch (error) {
      throw isProblem(error, "outcome_unknown") ? broken(error, file, { volid, storage }) : error;
    }
  }
}

function keyOf({ node, volid }: Place): string {
  return `${node} ${volid}`;
}

interface Place {
  readonly storage: string;
  readonly node: string;
  readonly volid: string;
}

interface Found extends Place {
  readonly there: Volume | undefined;
  readonly siblings: readonly Volume[];
}

function planOf(
  { storage, node, volid }: Place,
  file: {
    readonly content: string;
    readonly filename: string;
    readonly sum: Checksum;
    readonly source: UploadSource;
    readonly against: readonly Problem[];
  },
): Plan {
  const { content, filename, sum, source, against } = file;
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
        "checksum-algorithm": sum.algorithm,
        checksum: sum.value,
        filename,
      },
    },
  };
}

/** The name as PVE will make it. PVE: pve-storage src/PVE/API2/Storage/Status.pm (upload), src/PVE/Storage.pm */
function readName(given: string, content: DownloadContent): string {
  const name = normalized(given);
  if (extensions[content].test(name)) return name;
  const image = content === "import" && /\.img$/i.test(name);
  throw new Problem(
    "invalid_input",
    `"${name}" does not end in ${wanted[content]}, as ${content} must. Nothing was sent.`,
    {
      next: image
        ? `Give filename: "${name.replace(/img$/i, "qcow2")}" for a qcow2 image (most cloud images called .img are), or "….raw" for a raw one.`
        : "Give filename with the right ending, or another content; Proxmox unpacks nothing that is uploaded.",
      facts: { argument: "filename" },
    },
  );
}

/** Of the file as it lies here; compared first with the one that was given, for which nothing has to be sent. */
async function digest(
  source: UploadSource,
  expected: Checksum | undefined,
  call: Call,
): Promise<Checksum> {
  const algorithm = expected?.algorithm ?? "sha256";
  const hash = createHash(algorithm);
  for await (const piece of reading(source, call)) hash.update(piece);
  const value = hash.digest("hex");
  if (expected === undefined || expected.value.toLowerCase() === value) return { algorithm, value };
  throw new Problem(
    "invalid_input",
    `${source.name} has another checksum: ${algorithm} ${value} instead of ${expected.value}. Nothing was sent.`,
    {
      next: "Get the file again, or leave checksum out if this file is the right one.",
      facts: { argument: "checksum", algorithm, checksum: value },
    },
  );
}
