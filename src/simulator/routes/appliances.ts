import { findVolume } from "../guests.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Permission, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import { activate, usableStorage } from "../volumes.ts";
import { type Storage, volumeKey } from "../world.ts";
import { downloadAs } from "./download.ts";

const text = { type: "string", optional: true } as const;
const mayStore = needs("/storage/{storage}", "Datastore.AllocateTemplate");
const mayCall = needs("/nodes/{node}", "Sys.AccessNetwork");
const mayPull: Permission = (access, given) => {
  mayStore(access, given);
  mayCall(access, given);
};

const host = String.raw`(?:[a-zA-Z\d]|[a-zA-Z\d][a-zA-Z\d-]*[a-zA-Z\d])`;
const word = String.raw`[a-z\d]+(?:(?:[._]|__|[-]*)[a-z\d]+)*`;
const repository = String.raw`(?:${host}(?:\.${host})*(?::\d+)?/)?${word}(?:/${word})*`;

/** PVE::API2::Nodes aplinfo and query_oci_repo_tags, PVE::API2::Storage::Status oci_registry_pull. */
export function applianceRoutes(): Route[] {
  return [
    { method: "GET", path: "/nodes/{node}/aplinfo", handle: appliances },
    {
      method: "POST",
      path: "/nodes/{node}/aplinfo",
      permission: mayStore,
      parameters: {
        storage: { type: "string" },
        template: { type: "string", maxLength: 255 },
      },
      handle: download,
    },
    {
      method: "POST",
      path: "/nodes/{node}/storage/{storage}/oci-registry-pull",
      since: "9.1",
      permission: mayPull,
      parameters: {
        reference: { type: "string", pattern: new RegExp(`^${repository}:\\w[\\w.-]{0,127}$`) },
        filename: { ...text, minLength: 1, maxLength: 255 },
      },
      handle: pull,
    },
    {
      method: "GET",
      path: "/nodes/{node}/query-oci-repo-tags",
      since: "9.1",
      permission: mayCall,
      parameters: { reference: { type: "string", pattern: new RegExp(`^${repository}$`) } },
      handle: tags,
    },
  ];
}

const location = "http://download.proxmox.com/images/system";
/** `package_version`; what every host knows of without asking anybody. */
const known = [
  ["alpine-3.22-default", "20250617", "alpine-3.22", "xz"],
  ["debian-12-standard", "12.12-1", "debian-12", "zst"],
  ["debian-13-standard", "13.1-2", "debian-13", "zst"],
  ["ubuntu-24.04-standard", "24.04-2", "ubuntu-24.04", "zst"],
] as const;

function appliances(): unknown[] {
  return known.map(([name, version, os, packed]) => ({
    package: name,
    version,
    os,
    type: "lxc",
    section: "system",
    architecture: "amd64",
    template: `${name}_${version}_amd64.tar.${packed}`,
    location: `${location}/${name}_${version}_amd64.tar.${packed}`,
    headline: `${os} (standard)`,
    source: "https://releases.example.org",
    sha512sum: "0".repeat(128),
  }));
}

function download(call: Call): string {
  const { values } = call;
  const template = values["template"] ?? "";
  const storage = usableStorage(call.cluster, values["storage"] ?? "", values["node"] ?? "");
  const named = known.find(([name, version]) => template.startsWith(`${name}_${version}_`));
  if (!named) throw badParameters({ template: "no such template" });
  if (!storage.content.includes("vztmpl")) {
    throw died(`storage '${storage.id}' does not support templates`);
  }
  return downloadAs(call, storage, { url: `${location}/${template}`, filename: template });
}

/** skopeo copies the image into an archive; its name gets `.tar` whatever it was. */
function pull({ cluster, access, values }: Call): string {
  const { node = "", reference = "" } = values;
  const storage = usableStorage(cluster, values["storage"] ?? "", node);
  if (storage.path === undefined) {
    throw died(`can't upload to storage type '${storage.type}', not a file based storage!`);
  }
  if (!storage.content.includes("vztmpl")) {
    throw died(`storage '${storage.id}' is not configured for content-type 'vztmpl'`);
  }
  activate(storage);
  const wanted = (values["filename"] ?? reference).replace(/^.*[/\\]/, "");
  const filename = `${wanted.replace(/[^\w.-]/g, "_")}.tar`;
  const volid = `${storage.id}:vztmpl/${filename}`;
  if (findVolume(cluster, volid, node)) {
    const path = `${storage.path}/template/cache/${filename}`;
    throw died(`refusing to override existing file '${path}'`);
  }
  const work = (log: TaskLog) => copy({ cluster, access, values }, storage, volid, log);
  return cluster.tasks.start({
    node,
    type: "ociregistrypull",
    id: filename,
    user: access.name,
    work,
  });
}

function* copy({ cluster, values }: Call, storage: Storage, volid: string, log: TaskLog): Work {
  const { node = "", reference = "" } = values;
  log.print(`Trying to pull docker://${reference}...`);
  yield 400;
  const image = cluster.world.web.get(`docker://${reference}`);
  if (!image)
    throw new TaskFailure(
      `command '/usr/bin/skopeo copy docker://${reference}' failed: exit code 1`,
    );
  log.print("Getting image source signatures");
  yield image.sizeBytes / 100_000;
  log.print("Writing manifest to image destination");
  const home = storage.shared ? "" : node;
  const ctime = Math.floor(cluster.now / 1000);
  const { sizeBytes, bytes } = image;
  cluster.world.volumes.set(volumeKey(volid, home), {
    volid,
    node: home,
    content: "vztmpl",
    format: "tar",
    sizeBytes,
    ctime,
    bytes,
  });
}

function tags({ cluster, values }: Call): string[] {
  const start = `docker://${values["reference"]}:`;
  const found = [...cluster.world.web.keys()].filter((url) => url.startsWith(start));
  if (found.length === 0) throw died("Failed to list tags");
  return found.map((url) => url.slice(start.length)).sort();
}
