import { allowedBackup } from "../archive.ts";
import { storageIdFormat } from "../formats.ts";
import { markBackups } from "../prune.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needsAny, type Route, vmidParameter } from "../route.ts";
import type { TaskLog, Work } from "../tasks.ts";
import { activate, usableStorage } from "../volumes.ts";
import { dumpWork } from "../vzdump.ts";
import { type Volume, volumeKey } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const whole = { type: "integer", optional: true, minimum: 0 } as const;
const storageId = { ...text, format: storageIdFormat } as const;
const retention = {
  ...text,
  properties: {
    keys: {
      "keep-all": flag,
      "keep-last": whole,
      "keep-hourly": whole,
      "keep-daily": whole,
      "keep-weekly": whole,
      "keep-monthly": whole,
      "keep-yearly": whole,
    },
  },
} as const;

/** Backups: PVE::API2::VZDump, PVE::API2::Storage::PruneBackups and Content. */
export function backupRoutes(): Route[] {
  return [
    { method: "POST", path: "/nodes/{node}/vzdump", parameters: dumpParameters, handle: dump },
    {
      method: "GET",
      path: "/nodes/{node}/vzdump/extractconfig",
      parameters: { volume: { type: "string" } },
      handle: extractConfig,
    },
    {
      method: "PUT",
      path: "/nodes/{node}/storage/{storage}/content/{volume}",
      parameters: { notes: text, protected: flag },
      handle: describe,
    },
    ...pruneRoutes(),
  ];
}

function pruneRoutes(): Route[] {
  const path = "/nodes/{node}/storage/{storage}/prunebackups";
  const parameters = {
    "prune-backups": retention,
    vmid: { ...vmidParameter, optional: true },
    type: { ...text, enum: ["qemu", "lxc"] },
  };
  const permission = needsAny("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace");
  const handle = (call: Call) =>
    marked(call).map(({ volume: { volid, ctime, vmid }, type, mark }) => ({
      volid,
      ctime,
      type,
      mark,
      ...(vmid === undefined ? {} : { vmid }),
    }));
  return [
    { method: "GET", path, permission, parameters, handle },
    { method: "DELETE", path, parameters, handle: prune },
  ];
}

const dumpParameters = {
  vmid: { ...text, list: true },
  all: flag,
  pool: text,
  exclude: { ...text, list: true },
  storage: storageId,
  mode: { ...text, enum: ["snapshot", "suspend", "stop"] },
  compress: { ...text, enum: ["0", "1", "gzip", "lzo", "zstd"] },
  "notes-template": { ...text, maxLength: 1024, requires: "storage" },
  protected: { ...flag, requires: "storage" },
  "prune-backups": retention,
  remove: flag,
  bwlimit: whole,
  ionice: { ...whole, maximum: 8 },
  lockwait: whole,
  stopwait: whole,
  zstd: whole,
  pigz: { type: "integer", optional: true },
  fleecing: text,
  quiet: flag,
  stop: flag,
  dumpdir: text,
  tmpdir: text,
  script: text,
  "job-id": { ...text, maxLength: 50 },
  "notification-mode": { ...text, enum: ["auto", "legacy-sendmail", "notification-system"] },
} as const;

/** POST vzdump: `OK` where none of the guests lives here; guests that are nowhere fail visibly later. */
function dump(call: Call): string {
  const { cluster, access, values } = call;
  const { node = "", storage = "local" } = values;
  refuseOptions(call);
  const { vmids, lenient } = included(call);
  if (vmids.length === 0 && values["all"] !== "1") return "OK";
  access.need(`/storage/${storage}`, "Datastore.AllocateSpace");
  const order = {
    node,
    vmids,
    storage,
    mode: values["mode"] ?? "snapshot",
    compress: values["compress"] ?? "0",
    notes: values["notes-template"],
    protect: values["protected"] === "1",
    prune: values["remove"] === "0" ? undefined : values["prune-backups"],
    lenient,
    words: commandLine(call),
  };
  return cluster.tasks.start({
    node,
    type: "vzdump",
    id: vmids.length === 1 ? String(vmids[0]) : "",
    user: access.name,
    work: (log, upid) => dumpWork(cluster, access, order, log, upid),
  });
}

function refuseOptions({ access, values }: Call): void {
  const root = access.identity.user.id === "root@pam" && !access.identity.token;
  if (!root) {
    for (const key of ["tmpdir", "dumpdir", "script", "job-id"]) {
      if (values[key] !== undefined) badOption(key, "Only root may set this option.");
    }
    if (["bwlimit", "ionice"].some((key) => values[key] !== undefined)) {
      access.need("/", "Sys.Modify");
    }
    if (values["prune-backups"] !== undefined) {
      access.need(`/storage/${values["storage"] ?? "local"}`, "Datastore.Allocate");
    }
  }
  for (const [one, other] of [
    ["all", "vmid"],
    ["exclude", "vmid"],
    ["pool", "vmid"],
  ] as const) {
    if (values[one] !== undefined && values[one] !== "0" && values[other] !== undefined) {
      badOption(one, `option conflicts with option '${other}'`);
    }
  }
}

function badOption(key: string, why: string): never {
  throw badParameters({ [key]: why });
}

/** PVE::VZDump get_included_guests: of a list the guests of this node and those that are nowhere. */
function included({ cluster, values }: Call): { vmids: number[]; lenient: boolean } {
  const { node, pool, vmid } = values;
  const list = (ids = "") =>
    ids
      .split(/[,;\s]+/)
      .filter((id) => id !== "")
      .map(Number);
  if (vmid !== undefined) {
    const here = list(vmid).filter((id) => {
      const guest = cluster.world.guests.get(id);
      return !guest || guest.node === node;
    });
    return { vmids: here.sort((a, b) => a - b), lenient: false };
  }
  const excluded = new Set(list(values["exclude"]));
  const members = pool === undefined ? undefined : cluster.world.pools.get(pool)?.vmids;
  if (pool !== undefined && !members) throw died(`no such pool '${pool}'`);
  const all = [...cluster.world.guests.values()].filter(
    (guest) =>
      guest.node === node && !excluded.has(guest.vmid) && (!members || members.has(guest.vmid)),
  );
  const wanted = members || values["all"] === "1" || values["exclude"] !== undefined ? all : [];
  return { vmids: wanted.map((guest) => guest.vmid).sort((a, b) => a - b), lenient: !members };
}

function commandLine({ values }: Call): string {
  const options = Object.entries(values)
    .filter(([key]) => key !== "node" && key !== "vmid")
    .map(([key, value]) => `--${key} ${/[\s{]/.test(value) ? `'${value}'` : value}`);
  return [values["vmid"]?.replaceAll(",", " ") ?? "", ...options]
    .filter((word) => word !== "")
    .join(" ");
}

/** GET vzdump/extractconfig: the config of then, with a line that maps drives to storages. */
function extractConfig(call: Call): string {
  const { cluster, values } = call;
  const volid = values["volume"] ?? "";
  const volume = theBackup(call, volid);
  const { archive } = volume;
  if (!archive) throw died(`volume '${volid}' does not exist`);
  const lines = Object.keys(archive.config)
    .sort()
    .map((key) => `${key}: ${archive.config[key]}`);
  const map = Object.entries(archive.config)
    .filter(
      ([key, value]) =>
        archive.type === "qemu" &&
        /^(?:scsi|virtio|sata|ide)\d+$|^efidisk0$/.test(key) &&
        !value.includes("media=cdrom"),
    )
    .map(([key, value]) => {
      const storage = value.split(":")[0] ?? "";
      const files = cluster.world.storages.get(storage)?.path !== undefined;
      return `#qmdump#map:${key}:drive-${key}:${storage}:${files ? "qcow2" : "raw"}:`;
    });
  return `${[...lines, ...map].join("\n")}\n`;
}

function theBackup(call: Call, volid: string): Volume {
  const { storage, volume } = allowedBackup(call, volid);
  activate(storage);
  if (!volume) throw died(`volume '${volid}' does not exist`);
  return volume;
}

/** PUT content: notes and protection. */
function describe(call: Call): null {
  const { values } = call;
  const name = values["volume"] ?? "";
  const volid = name.includes(":") ? name : `${values["storage"]}:${name}`;
  const volume = theBackup(call, volid);
  if (values["notes"] !== undefined) volume.notes = values["notes"];
  if (values["protected"] !== undefined) volume.protected = values["protected"] === "1";
  return null;
}

function marked({ cluster, values }: Call) {
  const { node = "", storage: id = "", vmid, type } = values;
  const storage = usableStorage(cluster, id, node);
  activate(storage);
  const backups = [...cluster.world.volumes.values()].filter(
    (volume) =>
      volume.content === "backup" &&
      volume.volid.startsWith(`${id}:`) &&
      (volume.node === "" || volume.node === node) &&
      (vmid === undefined || volume.vmid === Number(vmid)),
  );
  return markBackups(backups, values["prune-backups"] ?? "keep-all=1").filter(
    (one) => type === undefined || one.type === type,
  );
}

/** DELETE prunebackups */
function prune(call: Call): string {
  const { cluster, access, values } = call;
  const { node = "", storage: id = "", vmid } = values;
  if (vmid === undefined) access.need(`/storage/${id}`, "Datastore.Allocate");
  else {
    access.need(`/storage/${id}`, "Datastore.AllocateSpace");
    access.need(`/vms/${vmid}`, "VM.Backup");
  }
  function* work(log: TaskLog): Work {
    yield 200;
    for (const { volume, mark } of marked(call)) {
      if (mark !== "remove") continue;
      log.print(`removing backup '${volume.volid}'`);
      cluster.world.volumes.delete(volumeKey(volume.volid, volume.node));
    }
  }
  const subject = vmid === undefined ? id : `${vmid}@${id}`;
  return cluster.tasks.start({ node, type: "prunebackups", id: subject, user: access.name, work });
}
