import { storageIdFormat } from "../formats.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needsAny, type Route, vmidParameter } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { StorageUsage } from "../usage.ts";
import { activate, onNode, usableStorage } from "../volumes.ts";
import { type Storage, type Volume, volumeKey } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const contentTypes = ["images", "rootdir", "iso", "vztmpl", "backup", "snippets", "import", "none"];
const anyUse = ["Datastore.Audit", "Datastore.AllocateSpace"];

/** PVE::API2::Storage::Status, Content and Config. */
export function storageRoutes(): Route[] {
  const permission = needsAny("/storage/{storage}", ...anyUse);
  return [
    {
      method: "GET",
      path: "/storage",
      parameters: { type: text },
      handle: definitions,
    },
    {
      method: "GET",
      path: "/nodes/{node}/storage",
      parameters: {
        content: { ...text, list: true },
        enabled: flag,
        format: flag,
        storage: { ...text, format: storageIdFormat },
        target: text,
      },
      handle: list,
    },
    { method: "GET", path: "/nodes/{node}/storage/{storage}/status", permission, handle: status },
    {
      method: "GET",
      path: "/nodes/{node}/storage/{storage}/content",
      permission,
      parameters: {
        content: { ...text, enum: contentTypes },
        vmid: { ...vmidParameter, optional: true },
      },
      handle: content,
    },
    {
      method: "DELETE",
      path: "/nodes/{node}/storage/{storage}/content/{volume}",
      parameters: { delay: { type: "integer", optional: true, minimum: 1, maximum: 30 } },
      handle: remove,
    },
  ];
}

/** GET /storage: the cluster-wide definitions that one may use. */
function definitions({ cluster, access, values }: Call): unknown[] {
  const storages = [...cluster.world.storages.values()].filter(
    (storage) =>
      access.hasAny(`/storage/${storage.id}`, [...anyUse, "Datastore.Allocate"]) &&
      (values["type"] === undefined || storage.type === values["type"]),
  );
  return storages.map((storage) => ({
    storage: storage.id,
    type: storage.type,
    content: storage.content.join(","),
    digest: "4205b1e2c21e07bd539af63e2448f69c34cd46fd",
    ...(storage.path === undefined ? {} : { path: storage.path }),
    ...(storage.shared ? { shared: 1 } : {}),
    ...(storage.disabled ? { disable: 1 } : {}),
    ...(storage.nodes.length > 0 ? { nodes: storage.nodes.join(",") } : {}),
  }));
}

/** GET /nodes/{node}/storage: every storage that the node may use; sizes only of active ones. */
function list(call: Call): unknown[] {
  const { cluster, access, values } = call;
  const node = values["node"] ?? "";
  const wanted = values["content"]?.split(/[,;\s]+/);
  return [...cluster.world.storages.values()]
    .filter((storage) => {
      if (!onNode(storage, node) || !access.hasAny(`/storage/${storage.id}`, anyUse)) return false;
      if (values["enabled"] === "1" && storage.disabled) return false;
      if (values["storage"] !== undefined && values["storage"] !== storage.id) return false;
      return !wanted || storage.content.some((type) => wanted.includes(type));
    })
    .map((storage) => ({ storage: storage.id, ...figures(call, storage) }));
}

function figures({ cluster, values }: Call, storage: Storage): Record<string, unknown> {
  const { type, shared, disabled, totalBytes: total } = storage;
  const fixed = { type, content: storage.content.join(","), shared: shared ? 1 : 0 };
  const nothing = { active: 0, total: 0, used: 0, avail: 0 };
  if (disabled) return { ...fixed, enabled: 0, ...nothing };
  if (storage.offline) return { ...fixed, enabled: 1, ...nothing };
  const used = new StorageUsage(cluster.world).of(storage, values["node"] ?? "");
  const used_fraction = used / total;
  return { ...fixed, enabled: 1, active: 1, total, used, avail: total - used, used_fraction };
}

/** GET …/{storage}/status */
function status(call: Call): unknown {
  const { used_fraction: _, ...fields } = figures(call, theStorage(call));
  return fields;
}

/** The storage of the path, or 400 as PVE::Storage storage_config raises it. */
function theStorage({ cluster, values }: Call): Storage {
  const storage = cluster.world.storages.get(values["storage"] ?? "");
  if (!storage) throw badParameters({ storage: "No such storage." });
  return storage;
}

/** GET …/content: volumes that one may not use are left out. */
function content(call: Call): unknown[] {
  const { cluster, access, values } = call;
  const storage = usableStorage(cluster, values["storage"] ?? "", values["node"] ?? "");
  activate(storage);
  const mayAll = access.has(`/storage/${storage.id}`, "Datastore.Allocate");
  return volumesOn(call, storage)
    .filter((volume) => values["content"] === undefined || volume.content === values["content"])
    .filter((volume) => values["vmid"] === undefined || volume.vmid === Number(values["vmid"]))
    .filter((volume) => mayAll || mayUse(access, volume))
    .map((volume) => entry(volume, cluster.world.storages.get(storage.id)));
}

function volumesOn({ cluster, values }: Call, storage: Storage): Volume[] {
  return [...cluster.world.volumes.values()].filter(
    ({ volid, node }) =>
      volid.startsWith(`${storage.id}:`) && (node === "" || node === values["node"]),
  );
}

/** ISO images, templates and imports are anybody's, disks and backups the owner's (PVE::Storage check_volume_access). */
function mayUse(access: Call["access"], volume: Volume): boolean {
  if (volume.vmid === undefined) return true;
  const privileges = volume.content === "backup" ? ["VM.Backup"] : ["VM.Config.Disk"];
  return access.hasAny(`/vms/${volume.vmid}`, privileges);
}

function entry(volume: Volume, storage: Storage | undefined): Record<string, unknown> {
  const { volid, content: type, format, sizeBytes: size, ctime, vmid, parent } = volume;
  const disk = type === "images" || type === "rootdir";
  const files = storage?.type === "dir" || storage?.type === "nfs";
  const subtype = volid.includes("vzdump-lxc") ? "lxc" : "qemu";
  return {
    volid,
    content: type,
    format,
    size,
    ctime,
    ...(vmid === undefined ? {} : { vmid }),
    ...(disk && files ? { used: Math.floor(size * 0.4), parent: parent ?? null } : {}),
    ...(type === "backup" ? { subtype } : {}),
    // Of several lines only the first is listed.
    ...(volume.notes === undefined ? {} : { notes: volume.notes.split("\n")[0] }),
    ...(volume.protected ? { protected: 1 } : {}),
  };
}

/** Also what is not there belongs to somebody (PVE::Storage::Plugin parse_volname). */
function ownerInName(volid: string): string | undefined {
  return /\/vzdump-[a-z]+-(\d+)-|[:/](?:vm|base|subvol)-(\d+)-/.exec(volid)?.slice(1).find(Boolean);
}

/** DELETE …/content/{volume}: whether a guest still uses it is not asked; what is not there is removed all the same. */
async function remove(call: Call): Promise<string | null> {
  const { cluster, access, values } = call;
  const storage = theStorage(call);
  const name = values["volume"] ?? "";
  const volid = volumeId(storage, name);
  const node = values["node"] ?? "";
  const volume = volumesOn(call, storage).find((other) => other.volid === volid);
  mayRemove(access, storage, volid);
  const owner = volume?.vmid ?? ownerInName(volid);
  const id = owner === undefined ? storage.id : `${owner}@${storage.id}`;
  const upid = cluster.tasks.start({
    node,
    type: "imgdel",
    id,
    user: access.name,
    work: (log) => removeWork(call, { storage, volid, volume }, log),
  });
  return values["delay"] === undefined ? upid : waitFor(call, upid, Number(values["delay"]));
}

/** PVE::API2::Storage::Content real_volume_id */
function volumeId(storage: Storage, name: string): string {
  const [id = ""] = name.split(":");
  if (!name.includes(":")) return `${storage.id}:${name}`;
  if (id === storage.id) return name;
  throw badParameters({ volume: `storage ID mismatch (${id} != ${storage.id})\n` });
}

/** One's own guest's backups need less; what it is says the name alone, whether it is there or not. */
function mayRemove(access: Call["access"], storage: Storage, volid: string): void {
  const owner = backupOwner(volid.slice(volid.indexOf(":") + 1));
  if (owner === undefined) {
    access.need(`/storage/${storage.id}`, "Datastore.Allocate");
    return;
  }
  access.need(`/storage/${storage.id}`, "Datastore.AllocateSpace");
  access.need(`/vms/${owner}`, "VM.Backup");
}

/** PVE::Storage::Plugin parse_volname, PVE::Storage::PBSPlugin parse_volname: a backup, and whose. */
function backupOwner(name: string): string | undefined {
  const file =
    /^backup\/vzdump-(?:openvz|lxc|qemu)-(\d+)-[^/]+\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)$/;
  return (file.exec(name) ?? /^backup\/(?:vm|ct)\/(\d+)\/[^/]+$/.exec(name))?.[1];
}

interface Removal {
  readonly storage: Storage;
  readonly volid: string;
  readonly volume: Volume | undefined;
}

function* removeWork({ cluster }: Call, { storage, volid, volume }: Removal, log: TaskLog): Work {
  const inner = volid.slice(volid.indexOf(":") + 1);
  if (storage.offline) throw new TaskFailure(`storage '${storage.id}' is not online`);
  yield 100;
  if (volume?.protected) {
    throw new TaskFailure(`cannot remove protected volume '${inner}' on '${storage.id}'`);
  }
  const clones = [...cluster.world.volumes.values()].filter(({ parent }) => parent === volid);
  // LVM-thin knows nothing of whose origin a volume is.
  if (clones.length > 0 && storage.type !== "lvmthin") {
    throw new TaskFailure(`base volume '${inner}' is still in use by linked clones`);
  }
  if (!volume) log.print(`disk image '${storage.path ?? ""}/${inner}' does not exist`);
  else cluster.world.volumes.delete(volumeKey(volid, volume.node));
  log.print(`Removed volume '${volid}'`);
}

/** With `delay`: null where the task ends well within it, its error where it does not end well. */
async function waitFor({ cluster }: Call, upid: string, seconds: number): Promise<string | null> {
  for (let second = 0; second < seconds; second++) {
    const status = cluster.tasks.find(upid)?.exitstatus;
    if (status === "OK") return null;
    if (status !== undefined) throw died(status);
    await cluster.wait(1000);
  }
  return upid;
}
