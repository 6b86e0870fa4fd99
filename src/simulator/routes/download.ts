import { createHash } from "node:crypto";
import { findVolume } from "../guests.ts";
import { badParameters, died, forbidden } from "../refusal.ts";
import { type Call, needs, type Permission, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { StorageUsage } from "../usage.ts";
import { activate, usableStorage } from "../volumes.ts";
import { type Storage, type Volume, volumeKey } from "../world.ts";

const text = { type: "string", optional: true } as const;
const algorithms = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
const mayStore = needs("/storage/{storage}", "Datastore.AllocateTemplate");

/** PVE::API2::Storage::Status download_url. */
export function downloadRoutes(): Route[] {
  return [
    {
      method: "POST",
      path: "/nodes/{node}/storage/{storage}/download-url",
      permission,
      parameters: {
        url: { type: "string", pattern: /^https?:\/\/.*$/ },
        content: { type: "string", enum: ["iso", "vztmpl", "import"] },
        filename: { type: "string", maxLength: 255 },
        checksum: { ...text, requires: "checksum-algorithm" },
        "checksum-algorithm": { ...text, enum: algorithms, requires: "checksum" },
        compression: { ...text, enum: ["gz", "lzo", "zst", "bz2"] },
        "verify-certificates": { type: "boolean", optional: true },
      },
      handle: download,
    },
  ];
}

/** The right to store, and the right to make a host call out; the refusal of an either-or names nothing. */
const permission: Permission = (access, given) => {
  mayStore(access, given);
  if (access.has(`/nodes/${given["node"] ?? ""}`, "Sys.AccessNetwork")) return;
  if (access.has("/", "Sys.Audit") && access.has("/", "Sys.Modify")) return;
  throw forbidden();
};

export type Content = "iso" | "vztmpl" | "import";

export const folders: Readonly<Record<Content, string>> = {
  iso: "template/iso",
  vztmpl: "template/cache",
  import: "import",
};
export const extensions: Readonly<Record<Content, RegExp>> = {
  iso: /[^/]+\.(?:iso|img)$/i,
  vztmpl: /[^/]+\.tar(?:\.(?:gz|xz|zst|bz2))?$/i,
  import: /^[a-zA-Z0-9\-.+=_]+\.(?:ova|qcow2|raw|vmdk)$/,
};

interface Target {
  readonly storage: Storage;
  readonly content: Content;
  readonly filename: string;
  /** `/var/lib/vz/template/iso/x.iso` */
  readonly path: string;
}

function download(call: Call): string {
  const { cluster, values } = call;
  const node = values["node"] ?? "";
  const storage = usableStorage(cluster, values["storage"] ?? "", node);
  const { type } = storage;
  if (storage.path === undefined) {
    throw died(`can't upload to storage type '${type}', not a file based storage!`);
  }
  const content = values["content"] as Content; // one of the enumeration
  if (!storage.content.includes(content)) {
    throw died(`storage '${storage.id}' is not configured for content-type '${content}'`);
  }
  const filename = (values["filename"] ?? "").replace(/^.*[/\\]/, "").replace(/[^\w.-]/g, "_");
  if (!extensions[content].test(filename)) {
    const wrong =
      content === "import" ? "invalid filename or wrong extension" : "wrong file extension";
    throw badParameters({ filename: wrong });
  }
  return begin(call, storage, content, filename);
}

function begin(call: Call, storage: Storage, content: Content, filename: string): string {
  activate(storage);
  const path = `${storage.path}/${folders[content]}/${filename}`;
  const target = { storage, content, filename, path };
  return call.cluster.tasks.start({
    node: call.values["node"] ?? "",
    type: "download",
    id: filename,
    user: call.access.name,
    work: (log, upid) => work(call, target, log, upid),
  });
}

/** A container template from an address that the host knows, with its checksum: a file that is there is left alone. */
export function downloadAs(
  call: Call,
  storage: Storage,
  { url, filename }: { readonly url: string; readonly filename: string },
): string {
  const bytes = call.cluster.world.web.get(url)?.bytes ?? "";
  const checksum = createHash("sha512").update(bytes).digest("hex");
  const given = { url, checksum, "checksum-algorithm": "sha512" };
  return begin({ ...call, values: { ...call.values, ...given } }, storage, "vztmpl", filename);
}

/** PVE::Tools download_file_from_url */
function* work(call: Call, target: Target, log: TaskLog, upid: string): Work {
  const { cluster, values } = call;
  const { storage, content, filename, path } = target;
  const { url = "", compression } = values;
  if (compression !== undefined && content !== "iso") {
    throw new TaskFailure(`decompression not supported for ${content}`);
  }
  log.print(`downloading ${url} to ${path}`);
  const volid = `${storage.id}:${content}/${filename}`;
  const existing = findVolume(cluster, volid, values["node"] ?? "");
  if (existing) return checkExisting(call, existing, path, log);
  const file = yield* transfer(call, target, log, Number.parseInt(upid.split(":")[2] ?? "", 16));
  if (values["checksum"] !== undefined) {
    log.print("calculating checksum...");
    yield file.sizeBytes / 500_000;
    verify(values, file.bytes, "");
    log.append("OK, checksum verified");
  }
  const node = storage.shared ? "" : (values["node"] ?? "");
  const unpacked = compression === undefined ? 1 : 2;
  cluster.world.volumes.set(volumeKey(volid, node), {
    volid,
    node,
    content,
    format: formatOf(content, filename),
    sizeBytes: file.sizeBytes * unpacked,
    ctime: Math.floor(cluster.now / 1000),
    bytes: compression === undefined ? file.bytes : `unpacked ${file.bytes}`,
  });
  log.print(`download of '${url}' to '${path}' finished`);
}

function checkExisting({ values }: Call, volume: Volume, path: string, log: TaskLog): void {
  if (values["checksum"] === undefined) {
    throw new TaskFailure(`refusing to override existing file '${path}'`);
  }
  log.print("calculating checksum of existing file...");
  verify(values, volume.bytes ?? volume.volid, ", aborting");
  log.append("OK, got correct file already, no need to download");
}

function verify(values: Call["values"], bytes: string, tail: string): void {
  const { checksum = "", "checksum-algorithm": algorithm = "" } = values;
  const got = createHash(algorithm).update(bytes).digest("hex");
  if (got === checksum.toLowerCase()) return;
  throw new TaskFailure(`checksum mismatch: got '${got}' != expect '${checksum}'${tail}`);
}

const lineBytes = 32 * 1024 ** 2;

/** What wget prints and does; a failed transfer leaves no file behind. The last line before an error is the error. */
function* transfer(call: Call, { storage, path }: Target, log: TaskLog, pid: number) {
  const { cluster, values } = call;
  const { url = "", node = "" } = values;
  const stamp = () => new Date(cluster.now).toISOString().slice(0, 19).replace("T", " ");
  log.print(`--${stamp()}--  ${url}`);
  yield 50;
  connect(call, new URL(url), log);
  const file = cluster.world.web.get(url);
  const status = file ? "200 OK" : "404 Not Found";
  log.print(`HTTP request sent, awaiting response... ${status}`);
  if (!file) {
    log.print(`${stamp()} ERROR 404: Not Found.`);
    throw new TaskFailure("download failed: exit code 8");
  }
  const { sizeBytes } = file;
  const temporary = `${path}.tmp_dwnl.${pid}`;
  log.print(`Length: ${sizeBytes} (${(sizeBytes / 1024 ** 2).toFixed(1)}M)`);
  log.print(`Saving to: '${temporary}'`);
  const free = storage.totalBytes - new StorageUsage(cluster.world).of(storage, node);
  for (let done = 0; done < sizeBytes; ) {
    done = Math.min(done + lineBytes, sizeBytes);
    yield 300;
    if (done > free) {
      throw new TaskFailure(
        `download failed: Cannot write to '${temporary}' (No space left on device).`,
      );
    }
    log.print(progressLine(done, sizeBytes));
  }
  log.print(`${stamp()} (107 MB/s) - '${temporary}' saved [${sizeBytes}/${sizeBytes}]`);
  return file;
}

function connect({ cluster }: Call, { hostname, host, port }: URL, log: TaskLog): void {
  const known = [...cluster.world.web.keys()].map((url) => new URL(url));
  if (!known.some((other) => other.hostname === hostname)) {
    log.print(`Resolving ${hostname} (${hostname})... failed: Name or service not known.`);
    throw new TaskFailure(`download failed: wget: unable to resolve host address '${hostname}'`);
  }
  const to = `Connecting to ${hostname}:${port || "80"}...`;
  if (!known.some((other) => other.host === host)) {
    throw new TaskFailure(`download failed: ${to} failed: Connection refused.`);
  }
  log.print(`Connecting to ${hostname}... connected.`);
}

/** A line of `--progress=dot:giga`. */
function progressLine(done: number, total: number): string {
  const from = Math.floor((done - 1) / lineBytes) * (lineBytes / 1024);
  const percent = Math.floor((100 * done) / total);
  const dots = "........ ........ ........ ........";
  return `${String(from).padStart(6)}K ${dots} ${String(percent).padStart(3)}%  107M`;
}

export function formatOf(content: Content, filename: string): string {
  const extension = filename.slice(filename.lastIndexOf(".") + 1).toLowerCase();
  if (content === "iso") return "iso";
  if (content === "import") return extension;
  const packed: Readonly<Record<string, string>> = {
    gz: "tgz",
    xz: "txz",
    zst: "tzst",
    bz2: "tbz2",
  };
  return packed[extension] ?? extension;
}
