import type { Cluster } from "./cluster.ts";
import { isDiskKey } from "./guest-config.ts";
import { findVolume } from "./guests.ts";
import { importedBytes } from "./import-disks.ts";
import { lookup, type Parameters, type Values } from "./parameters.ts";
import { readProperties, writeProperties, writeSize } from "./property-string.ts";
import { randomMac } from "./random.ts";
import { badParameters, died } from "./refusal.ts";
import { allocate, usableStorage } from "./volumes.ts";
import type { Guest } from "./world.ts";

export interface Change {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
  readonly revert: readonly string[];
  readonly force: boolean;
  readonly digest: string | undefined;
}

const control = new Set(
  "node vmid delete revert force digest skiplock background_delay".split(" "),
);

/** Parts the parameters of PUT and POST config. Throws what PVE refuses before it looks at the config. */
export function readChange(values: Values, parameters: Parameters): Change {
  const set = Object.fromEntries(Object.entries(values).filter(([key]) => !control.has(key)));
  const remove = pieces(values["delete"]);
  const revert = pieces(values["revert"]);
  for (const key of remove) {
    if (set[key] !== undefined) {
      throw badParameters({ delete: `duplicate parameter ('${key}' is also set)` });
    }
    if (!lookup(parameters, key)) throw badParameters({ delete: `unknown option '${key}'` });
  }
  for (const key of revert) {
    if (!lookup(parameters, key)) throw badParameters({ revert: `unknown option '${key}'` });
  }
  return { set, remove, revert, force: values["force"] === "1", digest: values["digest"] };
}

function pieces(list: string | undefined): string[] {
  return (list ?? "").split(/[,;\s]+/).filter((piece) => piece !== "");
}

/** The normal form that PVE writes into the config; also used by create. */
export function normalValue(cluster: Cluster, guest: Guest, key: string, value: string): string {
  if (key === "tags") return normalTags(value);
  if (/^net\d+$/.test(key))
    return guest.type === "qemu" ? vmNet(cluster, value) : containerNet(cluster, value);
  if (isDiskKey(guest.type, key)) return diskValue(cluster, guest, key, value);
  return value;
}

/** Lower case, sorted, joined with `;`. */
function normalTags(value: string): string {
  const tags = new Set(pieces(value.toLowerCase()));
  return [...tags].sort().join(";");
}

/** `virtio=MAC,bridge=…`: a MAC is made up where none is given. */
function vmNet(cluster: Cluster, value: string): string {
  const parts = readProperties(value, "model");
  const { model: given, macaddr, ...rest } = parts;
  const model =
    given ??
    Object.keys(parts).find((key) => /^(?:virtio|e1000|rtl8139|vmxnet3)/.test(key)) ??
    "virtio";
  const mac = parts[model] ?? macaddr ?? randomMac(cluster.random);
  delete rest[model];
  const tail = writeProperties(rest, "");
  return `${model}=${mac.toUpperCase()}${tail === "" ? "" : `,${tail}`}`;
}

function containerNet(cluster: Cluster, value: string): string {
  const parts = readProperties(value, "name");
  const { name = "eth0", hwaddr = randomMac(cluster.random), ...rest } = parts;
  return `name=${name},${writeProperties({ ...rest, hwaddr: hwaddr.toUpperCase(), type: "veth" }, "")}`;
}

/** `STORAGE:SIZE` allocates, `STORAGE:cloudinit` too; an existing volume gets its size written behind it. */
function diskValue(cluster: Cluster, guest: Guest, key: string, value: string): string {
  const defaultKey = guest.type === "qemu" ? "file" : "volume";
  const parts = readProperties(value, defaultKey);
  const file = parts[defaultKey] ?? "none";
  if (file === "none" || file === "cdrom" || file.startsWith("/")) return value;
  const [storageId = "", name = ""] = file.split(":");
  const storage = usableStorage(cluster, storageId, guest.node);
  const { node, vmid, type } = guest;
  const fresh = { storage, node, vmid, type };
  if (name === "cloudinit") {
    const image = { sizeBytes: 4 * 1024 ** 2, purpose: "cloudinit", format: "qcow2" };
    const volume = allocate(cluster, { ...fresh, ...image });
    return `${volume.volid},media=cdrom,size=4M`;
  }
  if (/^\d+(?:\.\d+)?$/.test(name)) {
    const content = type === "qemu" ? "images" : "rootdir";
    if (!storage.content.includes(content)) {
      throw died(`storage '${storageId}' does not support content-type '${content}'`);
    }
    const small = key === "efidisk0" || key === "tpmstate0" ? 4 * 1024 ** 2 : undefined;
    const imported = parts["import-from"] ? importedBytes : undefined;
    const sizeBytes = imported ?? small ?? Number(name) * 1024 ** 3;
    const { format } = parts;
    const volume = allocate(cluster, { ...fresh, sizeBytes, ...(format ? { format } : {}) });
    const { format: _, "import-from": __, ...kept } = parts;
    return writeProperties(
      { ...kept, [defaultKey]: volume.volid, size: writeSize(sizeBytes) },
      defaultKey,
    );
  }
  const volume = findVolume(cluster, file, node);
  if (!volume) throw died(`volume '${file}' does not exist`);
  const inUse = Object.entries(guest.config).find(
    ([other, text]) => other.startsWith("unused") && text === file,
  );
  if (inUse && inUse[0] !== key) delete guest.config[inUse[0]];
  return writeProperties({ ...parts, size: writeSize(volume.sizeBytes) }, defaultKey);
}
