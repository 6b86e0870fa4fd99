import type { Cluster } from "./cluster.ts";
import { disksOf, nameOf } from "./guest-config.ts";
import { findVolume } from "./guests.ts";
import { died } from "./refusal.ts";
import type { Call } from "./route.ts";
import { usableStorage } from "./volumes.ts";
import type { Config, Guest, Storage, Volume } from "./world.ts";

/** How much of what is read is left in an archive. */
const archiveShare = 0.15;

/** What goes into an archive. */
export interface Held {
  readonly included: readonly { readonly key: string; readonly sizeBytes: number }[];
  readonly config: Config;
}

/** The volume that a backup of this moment becomes, under the name that its storage gives it. */
export function archiveVolume(
  cluster: Cluster,
  compress: string,
  storage: Storage,
  guest: Guest,
  held: Held,
): Volume {
  const { vmid, type, node } = guest;
  const iso = new Date(cluster.now).toISOString();
  const pbs = storage.type === "pbs";
  const format = pbs ? `pbs-${type === "qemu" ? "vm" : "ct"}` : archiveFormat(compress, guest);
  const name = pbs
    ? `${type === "qemu" ? "vm" : "ct"}/${vmid}/${iso.slice(0, 19)}Z`
    : `vzdump-${type}-${vmid}-${iso.slice(0, 19).replace(/[-:]/g, "_").replace("T", "-")}.${format}`;
  const keys = new Set(held.included.map(({ key }) => key));
  const config = Object.fromEntries(
    Object.entries(held.config).filter(
      ([key, value]) => !isDrive(guest, key) || keys.has(key) || value.includes("media=cdrom"),
    ),
  );
  const bytes = held.included.reduce((sum, disk) => sum + disk.sizeBytes, 0);
  return {
    volid: `${storage.id}:backup/${name}`,
    node: storage.shared ? "" : node,
    content: "backup",
    format,
    sizeBytes: Math.ceil(bytes * archiveShare) + 1024,
    ctime: Math.floor(cluster.now / 1000),
    vmid,
    archive: { type, config },
  };
}

function isDrive(guest: Guest, key: string): boolean {
  return (
    disksOf(guest.type, guest.config).some((disk) => disk.key === key) || /^unused\d+$/.test(key)
  );
}

function archiveFormat(compress: string, { type }: Guest): string {
  const base = type === "qemu" ? "vma" : "tar";
  const endings: Readonly<Record<string, string>> = {
    zstd: ".zst",
    gzip: ".gz",
    "1": ".lzo",
    lzo: ".lzo",
  };
  return `${base}${endings[compress] ?? ""}`;
}

/** How the log names it. */
export function archiveWords(storage: Storage, { volid }: Volume): string {
  const name = volid.slice(volid.indexOf("/") + 1);
  return storage.type === "pbs"
    ? `Proxmox Backup Server archive '${name}'`
    : `vzdump archive '${storage.path ?? ""}/dump/${name}'`;
}

/** PVE::VZDump generate_notes: `\n` and `\\` stand for a new line and a backslash; an unknown variable costs the notes. */
export function notesOf(template: string, cluster: Cluster, guest: Guest): string {
  const values: Readonly<Record<string, string>> = {
    cluster: cluster.world.clusterName,
    guestname: nameOf(guest),
    node: guest.node,
    vmid: String(guest.vmid),
  };
  const notes = template
    .replace(/\\([n\\])/g, (_, escaped) => (escaped === "n" ? "\n" : "\\"))
    .replace(/\{\{(\w+)\}\}/g, (whole, name) => values[name] ?? whole);
  const unknown = /\{\{(\S+)\}\}/.exec(notes)?.[1];
  if (unknown !== undefined) throw died(`unexpected variable name '${unknown}'`);
  return notes;
}

/** The volume of a backup as a node sees it. */
function findBackup(cluster: Cluster, volid: string, node: string): Volume | undefined {
  const volume = findVolume(cluster, volid, node);
  return volume?.content === "backup" ? volume : undefined;
}

/** A backup that one may use, where it is there at all: PVE::Storage check_volume_access. */
export function allowedBackup({ cluster, access, values }: Call, volid: string) {
  const node = values["node"] ?? "";
  const [id = ""] = volid.split(":");
  const storage = usableStorage(cluster, id, node);
  const volume = findBackup(cluster, volid, node);
  const owner = volume?.vmid ?? /-(\d+)-\d{4}_/.exec(volid)?.[1];
  if (!access.has(`/storage/${id}`, "Datastore.Allocate")) {
    access.need(`/storage/${id}`, "Datastore.AllocateSpace");
    if (owner !== undefined) access.need(`/vms/${owner}`, "VM.Backup");
  }
  return { storage, volume };
}
