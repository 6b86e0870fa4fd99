import { createHash } from "node:crypto";

import type { Call } from "../api/call.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { type Checksum, readChecksum, readSource, shortened } from "../storage/download-source.ts";
import type { DownloadOrder, Downloads } from "../storage/downloads.ts";
import type { Afterwards, Fetch, Fetches } from "../storage/fetches.ts";
import type { Storages } from "../storage/storages.ts";
import type { Task, TaskReport } from "../tasks/task.ts";
import type { Placement } from "./placement.ts";

const compareMs = 3_600_000;
/** What is longer is no name that anybody reads; its origin stands behind it. */
const maxName = 200;

/** A disk image of the web. */
export interface ImageWish {
  readonly url: string;
  readonly checksum?: string | undefined;
  /** Absent: any that holds images to import. */
  readonly storage?: string | undefined;
  readonly node?: string | undefined;
}

/** What is known of it from its address alone. */
export interface ImageSource {
  readonly filename: string;
  readonly checksum: Checksum | undefined;
  /** The address and the checksum, for a note that tells later what a VM was made from. */
  readonly note: string;
}

/** An image that is on a storage, is on its way there, or is not there yet. */
export interface Image {
  readonly volid: string;
  /** The only node that has it, where its storage is a local one. */
  readonly node?: string | undefined;
  readonly fetch?: Fetch | undefined;
}

/**
 * Most images that are called .img are qcow2, and PVE takes none by that name. Its name on a storage tells its origin: two addresses
 * may end alike, and one address may bring another file tomorrow, which its checksum tells. Throws `invalid_input`.
 */
export function readImage({ url, checksum }: Pick<ImageWish, "url" | "checksum">): ImageSource {
  const last = /([^/?#]+)\.img(?:[?#]|$)/i.exec(url)?.[1];
  const source = readSource(url, "import", last === undefined ? undefined : `${last}.qcow2`);
  const sum = readChecksum(checksum, undefined);
  const verified = sum === undefined ? "" : ` (${sum.algorithm} ${sum.value.toLowerCase()})`;
  const origin = createHash("sha256")
    .update(sum === undefined ? source.url : sum.value.toLowerCase())
    .digest("hex")
    .slice(0, 12);
  const short = shortened(source.filename, maxName);
  const filename = short.replace(/(?=\.[^.]+$)/, `-${origin}`);
  return { filename, checksum: sum, note: `${source.shown}${verified} as ${filename}` };
}

/** Finds images where earlier calls have left them, and brings those that are missing. */
export class Images {
  readonly #storages: Storages;
  readonly #cluster: Cluster;
  readonly #placement: Placement;
  readonly #downloads: Downloads;
  readonly #fetches: Fetches;

  constructor(base: {
    readonly storages: Storages;
    readonly cluster: Cluster;
    readonly placement: Placement;
    readonly downloads: Downloads;
    readonly fetches: Fetches;
  }) {
    this.#storages = base.storages;
    this.#cluster = base.cluster;
    this.#placement = base.placement;
    this.#downloads = base.downloads;
    this.#fetches = base.fetches;
  }

  /** Where the file is already; undefined where it is nowhere that can be seen. */
  async present(wish: ImageWish, filename: string, call: Call): Promise<Image | undefined> {
    const storages = wish.storage ? [wish.storage] : await this.#placement.holders("import", call);
    const found = await Promise.all(
      storages.map(async (storage) => {
        const options = { node: wish.node, live: true };
        const { volumes } = await this.#storages.content(storage, options, call);
        return volumes.find(({ volid }) => volid === `${storage}:import/${filename}`);
      }),
    );
    const volume = found.find((one) => one !== undefined);
    return volume && { volid: volume.volid, node: volume.shared ? undefined : volume.node };
  }

  /** The node and the UPID of a download of this file that is under way, perhaps begun by a server that is gone. */
  async underWay(
    filename: string,
    nodes: readonly string[],
    call: Call,
  ): Promise<{ readonly node: string; readonly upid: string } | undefined> {
    const lists = await Promise.all(
      nodes.map((node) => this.#cluster.nodeTasks(node, { limit: 50 }, call)),
    );
    return lists
      .flat()
      .find(({ type, id, endedAt }) => type === "download" && id === filename && !endedAt);
  }

  /** The storage of that node for it. Throws `conflict` where there is none. */
  async storageOn(node: string, call: Call): Promise<string> {
    const needed = { content: "import", argument: "image_storage", node };
    const [first] = await this.#placement.storagesFor(needed, call);
    if (first === undefined) throw new TypeError("there is a storage for images");
    return first;
  }

  /** How to bring it there, or, where it is there and its checksum is known, to have that compared: then nothing is transferred. */
  async fetch(
    wish: ImageWish & { readonly node: string; readonly storage: string },
    { filename }: ImageSource,
    upid: string | undefined,
    call: Call,
  ): Promise<Fetch> {
    const { node, storage, url, checksum } = wish;
    const order = { storage, url, content: "import" as const, filename, checksum, node };
    const found = await this.#downloads.download({ ...order, dryRun: true }, call);
    const { plan, volid, shared } = found;
    if (!plan.request) throw new TypeError("a download is planned with its request");
    const running = upid ?? this.#fetches.running(found);
    return {
      says: plan.says,
      request: plan.request,
      begin: async (after, later) => {
        const errand = { node, storage, volid, shared };
        if (running === undefined || running === "") return this.#begin(order, after, later);
        if (checksum === undefined) return this.#fetches.join(running, errand, after);
        // Whoever began it may have known no checksum: what has come is compared with ours.
        const next = async (_: TaskReport, call: Call) => {
          const task = await this.#begin(order, after, call);
          return task.settle({ timeoutMs: compareMs, call });
        };
        return this.#fetches.join(running, errand, { ...after, next });
      },
    };
  }

  async #begin(order: DownloadOrder, after: Afterwards, call: Call): Promise<Task> {
    try {
      const { task, volid } = await this.#downloads.download(order, call, after);
      if (task) return task;
      throw new TypeError(`${volid} is downloaded without a task`);
    } catch (error) {
      after.otherwise?.();
      throw error;
    }
  }
}
