import { badParameters, died, Refusal } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import type { Upload } from "../upload-body.ts";
import { StorageUsage } from "../usage.ts";
import { activate, usableStorage } from "../volumes.ts";
import { type Storage, volumeKey } from "../world.ts";
import { type Content, extensions, folders, formatOf } from "./download.ts";

const text = { type: "string", optional: true } as const;
const algorithms = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/** PVE::API2::Storage::Status upload. */
export function uploadRoutes(): Route[] {
  return [
    {
      method: "POST",
      path: "/nodes/{node}/storage/{storage}/upload",
      permission: needs("/storage/{storage}", "Datastore.AllocateTemplate"),
      local: true,
      parameters: {
        content: { type: "string", enum: ["iso", "vztmpl", "import"] },
        filename: { type: "string", maxLength: 255 },
        checksum: { ...text, requires: "checksum-algorithm" },
        "checksum-algorithm": { ...text, enum: algorithms, requires: "checksum" },
        tmpfilename: { ...text, pattern: /^\/var\/tmp\/pveupload-[0-9a-f]+$/ },
      },
      handle: upload,
    },
  ];
}

interface Target {
  readonly storage: Storage;
  readonly content: Content;
  readonly filename: string;
  /** `/var/lib/vz/template/iso/x.iso` */
  readonly path: string;
  readonly temporary: string;
  readonly file: Upload;
}

/** The worker runs on the answering host, which hands the file on to the node that the path names. */
function upload(call: Call): string {
  const { cluster, access, values } = call;
  const node = values["node"] ?? "";
  const storage = usableStorage(cluster, values["storage"] ?? "", node);
  if (storage.path === undefined) throw died(`can't upload to storage type '${storage.type}'`);
  const temporary = values["tmpfilename"];
  if (temporary === undefined) throw died("missing temporary file name");
  const file = cluster.uploads.get(temporary);
  cluster.uploads.delete(temporary);
  if (!file) throw died(`temporary file '${temporary}' does not exist`);
  const content = values["content"] as Content; // one of the enumeration
  const filename = (values["filename"] ?? "").replace(/^.*[/\\]/, "").replace(/[^\w.-]/g, "_");
  if (!extensions[content].test(filename)) {
    const wrong =
      content === "import" ? "invalid filename or wrong extension" : "wrong file extension";
    throw badParameters({ filename: wrong });
  }
  if (!storage.content.includes(content)) {
    throw died(`storage '${storage.id}' does not support '${content}' content`);
  }
  reach(call, storage);
  const path = `${storage.path}/${folders[content]}/${filename}`;
  return cluster.tasks.start({
    node: cluster.host,
    type: "imgcopy",
    id: "",
    user: access.name,
    work: (log) => work(call, { storage, content, filename, path, temporary, file }, log),
  });
}

/** On the answering host itself the storage is activated; another one is reached by ssh, which fails where it is down. */
function reach({ cluster, values }: Call, storage: Storage): void {
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node) {
    throw died(
      `hostname lookup '${values["node"]}' failed - failed to get address info for: ${values["node"]}: Name or service not known`,
    );
  }
  if (node.name === cluster.host) activate(storage);
  else if (!node.online) throw new Refusal(500, "mkdir failed: exit code 255");
}

function* work(call: Call, target: Target, log: TaskLog): Work {
  const { cluster, values } = call;
  const { storage, content, filename, path, temporary, file } = target;
  const node = storage.shared ? "" : (values["node"] ?? "");
  log.print(`starting file import from: ${temporary}`);
  if (values["checksum"] !== undefined) {
    log.print("calculating checksum...");
    yield file.sizeBytes / 500_000;
    if (file.checksum !== values["checksum"].toLowerCase()) {
      log.print("");
      const said = `got '${file.checksum}' != expect '${values["checksum"]}'`;
      throw new TaskFailure(`checksum mismatch: ${said}`);
    }
    log.append("OK, checksum verified");
  }
  log.print(`target node: ${values["node"]}`);
  log.print(`target file: ${path}`);
  log.print(`file size is: ${file.sizeBytes}`);
  log.print(`command: ${copyCommand(call, target)}`);
  yield 100 + file.sizeBytes / 300_000;
  const used = new StorageUsage(cluster.world).of(storage, values["node"] ?? "");
  if (storage.offline || file.sizeBytes > storage.totalBytes - used) {
    throw new TaskFailure("import failed: exit code 1");
  }
  const volid = `${storage.id}:${content}/${filename}`;
  // What was there under that name is gone: nobody asks.
  cluster.world.volumes.set(volumeKey(volid, node), {
    volid,
    node,
    content,
    format: formatOf(content, filename),
    sizeBytes: file.sizeBytes,
    ctime: Math.floor(cluster.now / 1000),
    ...(file.bytes !== undefined && { bytes: file.bytes }),
  });
  log.print("finished file import successfully");
}

function copyCommand({ cluster, values }: Call, { temporary, path }: Target): string {
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node || node.name === cluster.host) return `cp -- ${temporary} ${path}`;
  return `/usr/bin/scp -o BatchMode=yes -p -- ${temporary} [${node.ip}]:${path}`;
}
