import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Disk } from "../api/guest-config.ts";
import { guestWords, records, text } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { conflict } from "../guests/changes.ts";
import { snapshotsQuestion } from "../guests/guest-details.ts";
import type { Identified } from "../guests/identity.ts";

interface Wish {
  readonly full?: boolean | undefined;
  readonly snapshot?: string | undefined;
  readonly node?: string | undefined;
  readonly storage?: string | undefined;
}

/** What PVE would refuse a clone for. PVE: API2/Qemu.pm, API2/LXC.pm (clone_vm) */
export async function refusals(
  source: Identified,
  wish: Wish,
  { verbs, lookup }: { readonly verbs: Verbs; readonly lookup: Lookup },
  call: Call,
): Promise<readonly Problem[]> {
  return [
    ...linkedWithStorage(source, wish),
    ...linkedWithoutTemplate(source, wish),
    ...(await notShared(source, wish, lookup, call)),
    ...(await withoutSnapshot(source, wish, verbs, call)),
  ];
}

/** A linked clone shares its source's storage. */
function linkedWithStorage(source: Identified, { full, storage }: Wish): readonly Problem[] {
  const linked = full === false || (full === undefined && source.config.template);
  if (!linked || storage === undefined) return [];
  const message = "A linked clone stays on its source's storage; `storage` can't be given.";
  const next = "Leave storage out, or set full: true for a full copy there.";
  return [new Problem("invalid_input", message, { next })];
}

/** Some storages link to a snapshot as well. */
function linkedWithoutTemplate(source: Identified, { full, snapshot }: Wish): readonly Problem[] {
  if (full !== false || source.config.template || snapshot !== undefined) return [];
  const next = "Leave full out for a full copy, or clone a template.";
  return [conflict(source, "is no template, and linked clones are made of templates", next)];
}

/** Another node reaches only what is shared. */
async function notShared(
  source: Identified,
  { node, storage }: Wish,
  lookup: Lookup,
  call: Call,
): Promise<readonly Problem[]> {
  if (node === undefined || node === source.node) return [];
  const { storages } = await lookup.inventory(call);
  const isLocal = (name: string | undefined) =>
    storages.some((row) => row.storage === name && !row.shared);
  const local = source.config.disks.find((disk) => isClonable(disk) && isLocal(disk.storage));
  if (local) {
    const what = `has a local disk (${local.key} on ${local.storage}), so its clone can't be made on ${node}`;
    const next = `Leave node out to clone it on ${source.node}; migrate_guest moves the clone afterwards.`;
    return [conflict(source, what, next)];
  }
  if (!isLocal(storage)) return [];
  const next = "Name a shared storage, or leave storage or node out.";
  return [conflict(source, `can't be cloned to ${node} with ${storage}, which is local`, next)];
}

function isClonable({ key, cdrom }: Disk): boolean {
  return !cdrom && !key.startsWith("unused");
}

async function withoutSnapshot(
  source: Identified,
  { snapshot }: Wish,
  verbs: Verbs,
  call: Call,
): Promise<readonly Problem[]> {
  if (snapshot === undefined) return [];
  const rows = records(await verbs.live(call, snapshotsQuestion(source)));
  const names = rows.flatMap((row) => text(row["name"]) ?? []).filter((name) => name !== "current");
  if (names.includes(snapshot)) return [];
  const who = `${guestWords(source, source.name)} on ${source.node}`;
  const there = names.length === 0 ? "it has none" : `it has ${names.slice(0, 10).join(", ")}`;
  return [
    new Problem("not_found", `${who} has no snapshot "${snapshot}": ${there}.`, {
      next: "Name one of them, or leave snapshot out.",
      facts: { argument: "snapshot", vmid: source.vmid, snapshots: names },
    }),
  ];
}
