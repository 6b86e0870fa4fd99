import { path } from "../../http/path.ts";
import { fresh, tags } from "../api/freshness.ts";
import { flag, given, number, records, text } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";
import type { StorageRow } from "../cluster/inventory.ts";

/** A disk, an image, a template, a backup: what a storage holds. */
export interface Volume {
  /** `local:iso/debian.iso` */
  readonly volid: string;
  readonly storage: string;
  /** Through which node it was seen; for a local storage the node that has it. */
  readonly node: string;
  /** Whether every node sees the same volume. */
  readonly shared: boolean;
  /** `images`, `rootdir`, `iso`, `vztmpl`, `backup`, `snippets` or `import`. */
  readonly content: string;
  readonly format?: string;
  readonly sizeBytes?: number;
  /** The guest that owns it. */
  readonly vmid?: number;
  /** In ms. */
  readonly createdAt?: number;
  readonly notes?: string;
  readonly protected: boolean;
  /** What it is a linked clone of, in the storage's own words. */
  readonly parent?: string;
}

/** A file on its way somewhere. */
export interface Destination {
  readonly storage: string;
  readonly node: string;
  readonly volid: string;
  /** Whether every node of the storage has the same files. */
  readonly shared: boolean;
}

/** Equal for the same file, through whichever node it comes. */
export function fileKey({ node, volid, shared }: Omit<Destination, "storage">): string {
  return shared ? volid : `${node} ${volid}`;
}

/** `local:iso/x.iso` → `local`; undefined where it is no volid. */
export function storageOf(volid: string): string | undefined {
  return /^([a-z][a-z0-9\-_.]*[a-z0-9]):./i.exec(volid)?.[1];
}

/** PVE: GET /nodes/{node}/storage/{storage}/content, unfiltered: one answer serves every filter. */
export function contentQuestion({
  storage,
  node,
  shared,
}: StorageRow): Question<readonly Volume[]> {
  return {
    path: path`/nodes/${node}/storage/${storage}/content`,
    freshness: fresh("storageContent", tags.storageContent(storage), tags.anyContent),
    parse: (data) => readContent(data, { storage, node, shared }),
  };
}

function readContent(
  data: unknown,
  at: Pick<StorageRow, "storage" | "node" | "shared">,
): readonly Volume[] {
  const volumes = records(data).map((wire): Volume => {
    const seconds = number(wire["ctime"]);
    return {
      volid: text(wire["volid"]) ?? "",
      ...at,
      content: text(wire["content"]) ?? "",
      protected: flag(wire["protected"]) ?? false,
      ...given({
        format: text(wire["format"]),
        sizeBytes: number(wire["size"]),
        vmid: number(wire["vmid"]),
        createdAt: seconds === undefined ? undefined : seconds * 1000,
        notes: text(wire["notes"]),
        parent: text(wire["parent"]),
      }),
    };
  });
  return volumes.sort((a, b) => (a.volid < b.volid ? -1 : 1));
}
