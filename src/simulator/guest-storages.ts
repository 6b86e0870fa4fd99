import { disksOf } from "./guest-config.ts";
import { readProperties } from "./property-string.ts";
import { badParameters, died } from "./refusal.ts";
import type { Call } from "./route.ts";
import { usableStorage } from "./volumes.ts";
import type { Config, GuestType } from "./world.ts";

const readable = ["Datastore.AllocateSpace", "Datastore.Audit"];

/** Before the task: PVE::API2::Qemu check_storage_access, PVE::API2::LXC create_vm. Throws 403, 400, 500. */
export function refuseStorages(call: Call, type: GuestType, wanted: Config): void {
  for (const disk of disksOf(type, wanted)) {
    const { key, volid, storage, cdrom } = disk;
    if (type === "qemu") refuseImport(call, key, wanted[key] ?? "");
    if (!volid.includes(":")) continue;
    const { cluster, access, values } = call;
    if (!cdrom) access.need(`/storage/${storage}`, "Datastore.AllocateSpace");
    else access.needAny(`/storage/${storage}`, readable);
    const { content } = usableStorage(cluster, storage, values["node"] ?? "");
    const fresh = /:\d+(?:\.\d+)?$/.test(volid);
    const kind = type === "qemu" ? "images" : "rootdir";
    if (!fresh || content.includes(kind)) continue;
    const what = type === "qemu" ? "vm images" : "container directories";
    throw badParameters({ storage: `storage '${storage}' does not support ${what}` });
  }
}

/** `import-from`: the size is 0, a path is for root only, a volume has to be one that may be read. */
function refuseImport({ access }: Call, key: string, value: string): void {
  const { file = "", "import-from": source } = readProperties(value, "file");
  if (source === undefined) return;
  if (!/:0$/.test(file)) {
    throw badParameters({
      [key]: "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>",
    });
  }
  const root = access.identity.user.id === "root@pam" && !access.identity.token;
  if (source.startsWith("/")) {
    if (!root) throw died("Only root can pass arbitrary filesystem paths.");
    return;
  }
  const [, storage = "", kind] =
    /^([^:]+):(import|iso|vztmpl|backup|snippets)\//.exec(source) ?? [];
  const owner = /:(?:\d+\/)?(?:vm|base)-(\d+)-/.exec(source)?.[1];
  if (owner !== undefined) access.need(`/vms/${owner}`, "VM.Clone");
  else access.needAny(`/storage/${storage}`, readable);
  if (owner === undefined && kind !== "import") {
    const text = `${source} has wrong type '${kind}' - needs to be 'images' or 'import'`;
    throw badParameters({ [key]: text });
  }
}
