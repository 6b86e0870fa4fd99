import { path } from "../../http/path.ts";
import { grantWords } from "../../http/permission.ts";
import { isProblem, Problem } from "../../problem.ts";
import { oneLine } from "../../text.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { Params } from "../api/verbs.ts";
import type { StorageRow } from "../cluster/inventory.ts";
import type { Plan } from "../tasks/plan.ts";
import type { Task } from "../tasks/task.ts";
import type { Appliances } from "./appliances.ts";
import {
  assertLength,
  type ChecksumAlgorithm,
  type FileOrder,
  readChecksum,
  readSource,
  type Source,
} from "./download-source.ts";
import type { Afterwards, Errand, Fetches } from "./fetches.ts";
import { lookAtStorage } from "./lost-answers.ts";
import type { Place, Storages } from "./storages.ts";
import type { Destination } from "./volumes.ts";

export interface DownloadOrder extends FileOrder {
  /** An address; for container templates also the name of an appliance, or the reference of an OCI image. */
  readonly url: string;
  readonly algorithm?: ChecksumAlgorithm | undefined;
}

/** A download that was planned or begun. */
export interface Download extends Destination {
  /** The file was there already: then PVE compares its checksum and fetches nothing. */
  readonly existed: boolean;
  readonly plan: Plan;
  readonly task?: Task;
}

/** Files from the web to a storage. PVE: POST /nodes/{node}/storage/{storage}/download-url, and what Appliances has */
export class Downloads {
  readonly #storages: Storages;
  readonly #fetches: Fetches;
  readonly #appliances: Appliances;
  readonly #principal: string;

  constructor(
    base: {
      readonly storages: Storages;
      readonly fetches: Fetches;
      readonly appliances: Appliances;
    },
    principal: string,
  ) {
    this.#storages = base.storages;
    this.#fetches = base.fetches;
    this.#appliances = base.appliances;
    this.#principal = principal;
  }

  /**
   * Lets a node download a file. Throws `invalid_input` for what PVE would refuse, `not_found` and `conflict` for a storage that can't
   * take it or a file that is there, `ambiguous` where several nodes have a local storage and none was named. `after`: what follows.
   */
  async download(order: DownloadOrder, call: Call, after: Afterwards = {}): Promise<Download> {
    if (isNamed(order)) return this.#named(order, call);
    const source = readSource(order.url, order.content, order.filename);
    assertLength(source.filename);
    const checksum = readChecksum(order.checksum, order.algorithm);
    const { storage, content } = order;
    const { node, shared } = await this.#target(order, call);
    const volid = `${storage}:${content}/${source.filename}`;
    const at = { storage, node, volid, shared };
    const { volumes } = await this.#storages.content(storage, { node, live: true }, call);
    const existed = volumes.some((volume) => volume.volid === volid);
    const against = this.#against(at, {
      existed,
      comparable: checksum !== undefined && source.compression === undefined,
    });
    const params = {
      content,
      filename: source.filename,
      compression: source.compression,
      checksum: checksum?.value,
      "checksum-algorithm": checksum?.algorithm,
    };
    const plan = planOf({ ...at, source, params, against, existed });
    if (order.dryRun) return { ...at, existed, plan };
    if (against[0]) throw against[0];
    const task = await this.#begin(plan, { ...at, source, params }, after, call);
    return { ...at, existed, plan, task: existed ? compared(task, volid) : task };
  }

  /** Where a file of any origin would go; throws as `download` does. */
  where(order: Where, call: Call): Promise<Pick<Destination, "node" | "shared">> {
    return this.#target(order, call);
  }

  /** An appliance template or an OCI image; one that is there is left alone. */
  async #named(order: DownloadOrder, call: Call): Promise<Download> {
    if (order.checksum !== undefined || order.filename !== undefined) {
      const message = "filename and checksum go with an address. Nothing was sent.";
      throw new Problem("invalid_input", message, {
        next: `Leave them out: Proxmox knows both for ${oneLine(order.url, 80)}.`,
        facts: { argument: order.checksum === undefined ? "filename" : "checksum" },
      });
    }
    const { node } = await this.#target(order, call);
    const found = await this.#appliances.find(order.url, { node, storage: order.storage }, call);
    const { storage, volid, shared, existed, says, request } = found;
    const against = this.#underWay(found);
    const touches = [tags.storageContent(storage), tags.tasks];
    const plan: Plan = { says, against, touches, ...(existed ? {} : { request }) };
    const done = { storage, node, volid, shared, existed, plan };
    if (order.dryRun || existed) return done;
    if (against[0]) throw against[0];
    return { ...done, task: await this.#fetch(found, {}, call) };
  }

  /** The node that will do it: any that has a shared storage at hand, the only one with a local one, or the one that was named. */
  async #target(order: Where, call: Call): Promise<Pick<Destination, "node" | "shared">> {
    const { storage, content, node } = order;
    const place = await this.#storages.place(storage, node, call);
    if (!place.content.includes(content)) throw await this.#wrongContent(place, content, call);
    const [first, ...others] = place.rows;
    if (!first) throw new TypeError("a place has a node");
    if (!place.shared && others.length > 0) throw severalNodes(storage, place.rows);
    await this.#storages.assertActive(storage, first.node, call);
    return { node: first.node, shared: place.shared };
  }

  async #wrongContent(place: Place, content: string, call: Call): Promise<Problem> {
    const fitting = await this.#storages.list({ content }, call);
    const names = [...new Set(fitting.map(({ row }) => row.storage))];
    const others = names.length === 0 ? "none does" : `${names.slice(0, 5).join(", ")} do`;
    const held = place.content.join(", ");
    return new Problem(
      "invalid_input",
      `Storage ${place.storage} does not hold ${content}, only ${held}. Nothing was sent.`,
      {
        next: `Use a storage that holds it (${others}), or add the content type to this one.`,
        facts: { argument: "storage", storage: place.storage, content, storages: names },
      },
    );
  }

  #against(
    at: Omit<Destination, "storage">,
    { existed, comparable }: { readonly existed: boolean; readonly comparable: boolean },
  ): readonly Problem[] {
    const { volid, node } = at;
    const underWay = this.#underWay(at);
    if (underWay.length > 0) return underWay;
    if (!existed || comparable) return [];
    const next =
      "Use it, give its checksum to have it compared, choose another filename, or delete it first (delete_storage_content).";
    const facts = { volid, node };
    const message = `${volid} is there already, seen through ${node}. Nothing was sent.`;
    return [new Problem("conflict", message, { next, facts })];
  }

  #underWay(at: Omit<Destination, "storage">): readonly Problem[] {
    const { volid, node } = at;
    const upid = this.#fetches.running(at);
    if (upid === undefined) return [];
    const next =
      upid === ""
        ? "See how it goes with get_tasks."
        : `Follow it with get_tasks {upid: "${upid}", wait_s: 60}.`;
    const facts = { volid, node, ...(upid && { upid }) };
    return [new Problem("conflict", `${volid} is being downloaded already.`, { next, facts })];
  }

  async #begin(
    { request }: Plan,
    target: Omit<Target, "against" | "existed">,
    after: Afterwards,
    call: Call,
  ): Promise<Task> {
    const { node, source, params, ...at } = target;
    if (!request) throw new TypeError("a download is planned with its request");
    const whole = { ...request, params: { url: source.url, ...params } };
    const errand = { ...at, node, request: whole };
    try {
      return await this.#fetch(errand, after, call);
    } catch (error) {
      throw mayNotDownload(error, node, this.#principal);
    }
  }

  async #fetch(errand: Errand, after: Afterwards, call: Call): Promise<Task> {
    try {
      return await this.#fetches.begin(errand, after, call);
    } catch (error) {
      throw lookAtStorage(error, errand);
    }
  }
}

type Where = Pick<FileOrder, "storage" | "content" | "node">;

/** No address, but a name: an appliance template or an OCI image. */
function isNamed({ url, content }: DownloadOrder): boolean {
  return content === "vztmpl" && !/^https?:/i.test(url);
}

interface Target extends Destination {
  readonly source: Source;
  readonly params: Params;
  readonly against: readonly Problem[];
  readonly existed: boolean;
}

/** Shows the URL without its query; that one is sent only. Certificates are verified, as PVE does unless told otherwise. */
function planOf({ storage, node, volid, source, params, against, existed }: Target): Plan {
  const address = oneLine(source.shown, 200);
  return {
    says: existed
      ? `lets ${node} only compare the checksum of ${volid}, which is there already: nothing is downloaded from ${address}`
      : `lets ${node} download ${address} as ${volid}`,
    against,
    touches: [tags.storageContent(storage), tags.tasks],
    request: {
      method: "POST",
      path: path`/nodes/${node}/storage/${storage}/download-url`,
      params: { url: source.shown, ...params },
    },
  };
}

/** PVE never overwrites: whoever wants the other file takes another name, or deletes this one. */
function compared(task: Task, volid: string): Task {
  return {
    upid: task.upid,
    settle: async (options) => {
      const report = await task.settle(options);
      const other = report.state === "failed" && /checksum mismatch/.test(report.exitstatus ?? "");
      if (!other) return report;
      const next = `The file that is there as ${volid} is another one and was left alone: give another name as filename, or delete it first with delete_storage_content {volume: "${volid}"}`;
      return { ...report, next };
    },
  };
}

function severalNodes(storage: string, rows: readonly StorageRow[]): Problem {
  const nodes = rows.map((row) => row.node).sort();
  return new Problem(
    "ambiguous",
    `Storage ${storage} is local to each of ${nodes.slice(0, 10).join(", ")}. Nothing was sent.`,
    { next: "Name one of them as node, or use a shared storage.", facts: { storage, nodes } },
  );
}

/** PVE names nothing where either of two rights would do: here the lesser is named. */
function mayNotDownload(error: unknown, node: string, principal: string): unknown {
  if (!isProblem(error, "forbidden") || "privileges" in error.facts) return error;
  const role = "pveum role add NetworkAccess --privs Sys.AccessNetwork";
  const privileges = ["Sys.AccessNetwork"];
  return new Problem(
    "forbidden",
    `Letting ${node} download from the web needs Sys.AccessNetwork on /nodes/${node}, which ${principal} lacks.`,
    {
      next: `No role that Proxmox brings has that alone; make one: ${role}. ${grantWords(`/nodes/${node}`, "NetworkAccess", principal)}`,
      facts: { path: `/nodes/${node}`, privileges },
    },
  );
}
