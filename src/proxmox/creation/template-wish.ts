import type { GuestConfig } from "../api/guest-config.ts";
import { tagList } from "../api/values.ts";
import type { Params } from "../api/verbs.ts";
import type { GuestRow } from "../cluster/inventory.ts";
import { defaultKeyOf, defaultOf, isDrive } from "../config/guest-options.ts";
import { merge, partsOf, sameValue, written } from "../config/option-merge.ts";
import type { Made } from "./blueprint.ts";

export interface TemplateOrder {
  readonly name: string;
  /** Of the cloud image. */
  readonly url: string;
  readonly checksum?: string | undefined;
  /** For its disk. */
  readonly storage: string;
  /** For the image; absent: the first that holds images to import. */
  readonly imageStorage?: string | undefined;
  readonly vmid?: number | undefined;
  readonly node?: string | undefined;
  /** GiB; absent: as large as the image. */
  readonly size?: number | undefined;
  readonly cores?: number | undefined;
  readonly memory?: number | undefined;
  readonly nics?: readonly string[] | undefined;
  readonly user?: string | undefined;
  readonly sshKeys?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly dryRun?: boolean | undefined;
}

/** A template as it is, or as it is being made. What is undefined can't be told, and is not judged. */
export interface Likeness {
  readonly vmid: string;
  readonly node: string;
  readonly storage: string | undefined;
  /** GiB, or words. */
  readonly size: string | undefined;
  /** Of the configuration, or those that are sent for it. */
  readonly options: Params;
}

/** The disk of one that is not converted yet may still have to grow. */
export function likenessOf(row: GuestRow, { disks, template, raw }: GuestConfig): Likeness {
  const disk = disks.find(({ key }) => key === "scsi0");
  const bytes = template ? disk?.sizeBytes : undefined;
  return {
    vmid: String(row.vmid),
    node: row.node,
    storage: disk?.storage,
    size: bytes === undefined ? undefined : String(bytes / 1024 ** 3),
    options: raw,
  };
}

/** What will come of an order; `params` are sent for it. */
export function likenessOfOrder(
  order: TemplateOrder,
  params: Params,
  { vmid = order.vmid, node = order.node }: Made["guest"],
): Likeness {
  return {
    vmid: String(vmid ?? "not known yet"),
    node: node ?? "not known yet",
    storage: order.storage,
    size: String(order.size ?? "as large as the image"),
    options: params,
  };
}

/** What an order, for which `params` would be sent, wishes otherwise than it is; nothing that it leaves open. */
export function differences(order: TemplateOrder, params: Params, there: Likeness): string[] {
  const { vmid, node, storage, size } = order;
  const outer = (
    [
      ["vmid", vmid, there.vmid],
      ["node", node, there.node],
      ["storage", storage, there.storage],
      ["size", size, there.size],
    ] as const
  ).flatMap(([argument, wished, has]) => {
    const same = wished === undefined || has === undefined || String(wished) === has;
    return same ? [] : [`${argument} (${wished} wished, ${has} there)`];
  });
  const inner = wishes(order, params).flatMap(({ argument, key, wished }) => {
    const has = there.options[key]?.toString() ?? defaultOf("qemu", key);
    if (agrees(key, wished, has)) return [];
    // Nobody compares these by eye.
    if (wished.length > 60) return [argument];
    return [`${argument} (${wished} wished, ${has?.slice(0, 60) ?? "nothing"} there)`];
  });
  return [...outer, ...inner];
}

interface Wish {
  readonly argument: string;
  /** Of PVE's configuration. */
  readonly key: string;
  readonly wished: string;
}

/** PVE keeps these otherwise than they are sent, or not at all. */
const unkept = /^(?:bwlimit|cdrom|ha-managed|import-working-storage|vmgenid)$/;

function wishes(order: TemplateOrder, params: Params): readonly Wish[] {
  const { cores, memory, user, sshKeys, tags, nics, options = {} } = order;
  const named = [
    ["cores", "cores", cores],
    ["memory", "memory", memory],
    ["user", "ciuser", user],
    ["ssh_keys", "sshkeys", sshKeys],
    ["tags", "tags", tags],
    ...(nics ?? []).map((nic, index) => [`nics[${index}]`, `net${index}`, nic] as const),
  ] as const;
  const own = named.flatMap(([argument, key, given]) =>
    given === undefined || Object.hasOwn(options, key)
      ? []
      : [{ argument, key, wished: String(params[key] ?? "") }],
  );
  const more = Object.entries(options)
    .filter(([key]) => !unkept.test(key))
    .map(([key, wished]) => ({ argument: `options.${key}`, key, wished }));
  return [...own, ...more].filter(({ wished }) => wished !== "");
}

/** Whether nothing would change if it were set: PVE adds MACs, sizes and versions, people add tags. */
function agrees(key: string, wished: string, has: string | undefined): boolean {
  if (has === undefined) return false;
  if (isDrive(key)) return true;
  if (key === "tags") return tagList(wished).every((tag) => tagList(has).includes(tag));
  if (key === "description") return `${has.trimEnd()}\n`.startsWith(`${wished.trimEnd()}\n`);
  if (key === "machine" && has.includes(wished)) return true;
  if (sameValue("qemu", key, wished, has)) return true;
  if (defaultKeyOf("qemu", key) === undefined) return false;
  const both = merge(partsOf("qemu", key, has), partsOf("qemu", key, wished), []);
  return sameValue("qemu", key, written("qemu", key, both), has);
}
