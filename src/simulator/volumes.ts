import type { Cluster } from "./cluster.ts";
import { findVolume } from "./guests.ts";
import { died } from "./refusal.ts";
import type { GuestType, Storage, Volume } from "./world.ts";
import { volumeKey } from "./world.ts";

export interface NewVolume {
  readonly storage: Storage;
  readonly node: string;
  readonly vmid: number;
  readonly type: GuestType;
  readonly sizeBytes: number;
  /** The base volume of a linked clone. */
  readonly parent?: string;
  /** Of a file; `raw` without it. Block storages have nothing else. */
  readonly format?: string;
  /** Instead of `disk`: `cloudinit`, `state-x`. */
  readonly purpose?: string;
}

/** Allocates a volume under the name that the storage type gives it (PVE::Storage::Plugin find_free_diskname). */
export function allocate(cluster: Cluster, order: NewVolume): Volume {
  const { storage, vmid, type, sizeBytes, parent, purpose } = order;
  const node = storage.shared ? "" : order.node;
  const files = ["dir", "nfs", "btrfs"].includes(storage.type);
  const format = files && type === "qemu" ? (order.format ?? "raw") : "raw";
  for (let index = 0; ; index++) {
    const name = purpose ? `vm-${vmid}-${purpose}` : `vm-${vmid}-disk-${index}`;
    const volid = `${storage.id}:${volumeName(order, name, files ? `.${format}` : "")}`;
    if (!purpose && findVolume(cluster, volid, order.node)) continue;
    const volume: Volume = {
      volid,
      node,
      content: type === "qemu" ? "images" : "rootdir",
      format,
      sizeBytes,
      ctime: Math.floor(cluster.now / 1000),
      vmid,
      ...(parent === undefined ? {} : { parent }),
    };
    cluster.world.volumes.set(volumeKey(volid, node), volume);
    return volume;
  }
}

/** lvm-thin hides a clone's origin, zfs and directories show it. */
function volumeName({ storage, vmid, parent }: NewVolume, name: string, suffix: string): string {
  const plain = suffix === "" ? name : `${vmid}/${name}${suffix}`;
  const base = parent?.slice(parent.indexOf(":") + 1);
  return base === undefined || storage.type === "lvmthin" ? plain : `${base}/${plain}`;
}

/** A storage that may be used on a node, or the refusal (PVE::Storage storage_check_enabled). */
export function usableStorage(cluster: Cluster, id: string, node: string): Storage {
  const storage = cluster.world.storages.get(id);
  if (!storage) throw died(`storage '${id}' does not exist`);
  if (storage.disabled) throw died(`storage '${id}' is disabled`);
  if (!onNode(storage, node)) throw died(`storage '${id}' is not available on node '${node}'`);
  return storage;
}

/** Connects it, or the refusal (PVE::Storage activate_storage). */
export function activate(storage: Storage): void {
  if (storage.offline) throw died(`storage '${storage.id}' is not online`);
}

export function onNode(storage: Storage, node: string): boolean {
  return storage.nodes.length === 0 || storage.nodes.includes(node);
}

/** `1.2 GiB`, as qemu-img's progress lines have it. */
export function humanSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/**
 * Why a base volume can't go: linked clones show it in their names. LVM-thin knows nothing of whose origin a volume is (PVE::Storage
 * vdisk_free, volume_is_base_and_used).
 */
export function usedBaseText(cluster: Cluster, volid: string): string | undefined {
  const { storages, volumes } = cluster.world;
  const [id = ""] = volid.split(":");
  if (storages.get(id)?.type === "lvmthin") return undefined;
  const used = [...volumes.values()].some(({ parent }) => parent === volid);
  const name = volid.slice(volid.indexOf(":") + 1);
  return used ? `base volume '${name}' is still in use by linked cloned` : undefined;
}
