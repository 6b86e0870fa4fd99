import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { Disk } from "../api/guest-config.ts";
import { guestWords, sizeBytes } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Lookup } from "../cluster/lookup.ts";
import { conflict } from "../guests/changes.ts";
import type { Identified } from "../guests/identity.ts";
import type { Storages } from "../storage/storages.ts";
import { presentConfigQuestion } from "../storage/volume-use.ts";

/** The disk or mount point of that key. Throws `not_found` with those that there are, `invalid_input` for CD drives. */
export function diskOf(guest: Identified, key: string): Disk {
  const { disks } = guest.config;
  const disk = disks.find((other) => other.key === key.trim().toLowerCase());
  if (disk?.cdrom) {
    throw new Problem("invalid_input", `${key} of ${words(guest)} is a CD drive.`, {
      next: "What is in it is changed with update_guest; name a disk here.",
      facts: { ...who(guest), argument: "disk", disk: key },
    });
  }
  if (disk) return disk;
  const keys = disks.filter((other) => !other.cdrom).map((other) => other.key);
  const list = keys.length === 0 ? "none" : keys.join(", ");
  throw new Problem(
    "not_found",
    `${words(guest)} has no disk ${key.slice(0, 40)}, only: ${list}.`,
    {
      next: "Use one of these keys.",
      facts: { ...who(guest), disk: key.slice(0, 40), disks: keys },
    },
  );
}

/** Throws `not_found` for a storage that this node does not have, `invalid_input` for one that holds no disks of this kind. */
export async function assertHolds(
  { storages, lookup }: { readonly storages: Storages; readonly lookup: Lookup },
  storage: string,
  { node, type }: Identified,
  call: Call,
): Promise<void> {
  const inventory = await lookup.inventory(call);
  // Who may see no storage may still be allowed to use one: PVE will say.
  if (inventory.storages.length === 0) return;
  const { rows } = await storages.place(storage, node, call);
  const content = type === "qemu" ? "images" : "rootdir";
  if (rows.some((row) => row.content.includes(content))) return;
  const fitting = inventory.storages.filter(
    (row) => row.node === node && row.content.includes(content),
  );
  const names = fitting.map((row) => row.storage);
  throw new Problem("invalid_input", `Storage ${storage} holds no ${content}.`, {
    next: `Use one that does: ${names.join(", ") || "none on this node"}.`,
    facts: { argument: "storage", storage, content, storages: names },
  });
}

/** `64G`, `64GiB`, `512M` as bytes. Throws `invalid_input` for anything else; a bare number would mean bytes to PVE. */
export function readSize(given: string, argument = "size"): number {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)\s*([KMGT])(?:i?B)?$/i.exec(given.trim()) ?? [];
  const bytes = amount && unit ? sizeBytes(`${amount}${unit.toUpperCase()}`) : undefined;
  if (bytes !== undefined && bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new Problem("invalid_input", `"${given.slice(0, 20)}" is no size.`, {
    next: "Give a number with K, M, G or T, like 64G.",
    facts: { argument },
  });
}

/** As PVE writes it: the largest unit that needs no fraction. */
export function writtenSize(bytes: number): string {
  for (const [index, unit] of ["T", "G", "M", "K"].entries()) {
    const factor = 1024 ** (4 - index);
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** What a change of a guest's disks makes stale; the content of these storages too. */
export function diskTouches(guest: Identified, ...storages: readonly (string | undefined)[]) {
  const named = storages.filter((storage) => storage !== undefined);
  return [
    tags.guest(guest),
    tags.tasks,
    ...(named.length === 0 ? [tags.anyContent] : named.map((id) => tags.storageContent(id))),
  ];
}

/** A disk that a running guest does not have yet: PVE would grow or destroy it as little as what is not there. */
export async function pendingDisk(
  guest: Identified,
  disk: Disk,
  verbs: Verbs,
  call: Call,
): Promise<readonly Problem[]> {
  const { status } = guest.status ?? {};
  if (status === "stopped" || disk.key.startsWith("unused")) return [];
  const { disks } = await verbs.live(call, presentConfigQuestion(guest));
  if (disks.some(({ key, volid }) => key === disk.key && volid === disk.volid)) return [];
  const next = `Apply it first: restart_guest {guest: "${guest.vmid}"}; or take it out with detach_disk {disk: "${disk.key}"}, which keeps its volume.`;
  return [conflict(guest, `has ${disk.key} only pending: it waits for a restart`, next)];
}

export function words(guest: Identified): string {
  return `${guestWords(guest, guest.name)} on ${guest.node}`;
}

export function who({ vmid, type, node }: Identified) {
  return { vmid, type, node };
}
