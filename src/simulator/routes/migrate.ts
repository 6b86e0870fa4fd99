import type { Cluster } from "../cluster.ts";
import { nodeFormat } from "../formats.ts";
import { guestOf, haManaged, lockText } from "../guests.ts";
import { localDisks, localResources, missingStorages } from "../migration.ts";
import { type MigrationOptions, queueMigration, startMigration } from "../migration-work.ts";
import type { Parameters } from "../parameters.ts";
import { badParameters, died, Refusal } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import type { TaskLog } from "../tasks.ts";
import { usableStorage } from "../volumes.ts";
import type { Guest, GuestType } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const target = { type: "string", format: nodeFormat } as const;
const limit = { type: "number", optional: true, minimum: 0 } as const;

/** Migration and what speaks against it: PVE::API2::Qemu, PVE::API2::LXC, PVE::QemuMigrate, PVE::LXC::Migrate. */
export function migrateRoutes(): Route[] {
  return [
    preconditions("qemu"),
    preconditions("lxc"),
    migration("qemu", {
      target,
      online: flag,
      force: flag,
      "with-local-disks": flag,
      "with-conntrack-state": flag,
      targetstorage: text,
      migration_type: { ...text, enum: ["secure", "insecure"] },
      migration_network: text,
      bwlimit: { ...limit, type: "integer" },
    }),
    migration("lxc", {
      target,
      online: flag,
      restart: flag,
      "target-storage": text,
      timeout: { type: "integer", optional: true },
      bwlimit: limit,
    }),
  ];
}

function preconditions(type: GuestType): Route {
  return {
    method: "GET",
    path: `/nodes/{node}/${type}/{vmid}/migrate`,
    permission: needs("/vms/{vmid}", "VM.Migrate"),
    parameters: { target: { ...target, optional: true } },
    handle: (call) => {
      if (type === "lxc" && call.cluster.version === "8.4") throw unknownMethod(call);
      const guest = guestOf(call, type);
      return type === "qemu" ? vmConditions(call, guest) : containerConditions(call, guest);
    },
  };
}

/** PVE 8 knows preconditions of VMs only. */
function unknownMethod({ values }: Call): Refusal {
  const path = `/nodes/${values["node"]}/lxc/${values["vmid"]}/migrate`;
  return new Refusal(501, `Method 'GET ${path}' not implemented`, { bare: true });
}

/** Nodes stand among the others with an empty object where nothing speaks against them; offline ones are not left out. */
function vmConditions({ cluster }: Call, guest: Guest): unknown {
  const locked = lockText(guest);
  if (locked !== undefined) throw died(locked);
  const others = otherNodes(cluster, guest);
  const lacking = others.map((node) => [node, missingStorages(cluster, guest, node)] as const);
  const { raw, mapped } = localResources(guest);
  return {
    running: guest.run.status === "running" ? 1 : 0,
    allowed_nodes: lacking.filter(([, missing]) => missing.length === 0).map(([node]) => node),
    not_allowed_nodes: Object.fromEntries(
      lacking.map(([node, missing]) => [
        node,
        missing.length === 0 ? {} : { unavailable_storages: missing },
      ]),
    ),
    local_disks: localDisks(cluster, guest).map(({ volid, key, cdrom, unused, volume }) => ({
      volid,
      drivename: key,
      cdrom: cdrom ? 1 : 0,
      is_unused: unused ? 1 : 0,
      ...(volume && { size: volume.sizeBytes }),
    })),
    local_resources: [...raw, ...mapped].sort(),
    "mapped-resources": mapped,
    "mapped-resource-info": Object.fromEntries(
      mapped.map((key) => [key, { name: key, "live-migration": 0 }]),
    ),
    "has-dbus-vmstate": 1,
  };
}

/** Storages are not looked at here (PVE::API2::LXC migrate_vm_precondition): HA rules alone count. */
function containerConditions({ cluster }: Call, guest: Guest): unknown {
  return {
    running: guest.run.status === "running" ? 1 : 0,
    "allowed-nodes": otherNodes(cluster, guest),
    "not-allowed-nodes": {},
  };
}

function otherNodes({ world }: Cluster, guest: Guest): string[] {
  return [...world.nodes.keys()].filter((node) => node !== guest.node).sort();
}

function migration(type: GuestType, parameters: Parameters): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/${type}/{vmid}/migrate`,
    permission: needs("/vms/{vmid}", "VM.Migrate"),
    parameters,
    handle: (call) => migrate(call, type),
  };
}

function migrate(call: Call, type: GuestType): string {
  const { cluster, access, values } = call;
  const { target: to = "", node = "" } = values;
  if (to === node) throw badParameters({ target: "target is local node." });
  if (!cluster.world.nodes.has(to)) throw died(`no such cluster node '${to}'`);
  for (const key of ["force", "migration_type", "migration_network"]) {
    if (values[key] !== undefined && !isRoot(call)) {
      throw badParameters({ [key]: "Only root may use this option." });
    }
  }
  const guest = guestOf(call, type);
  refuseEarly(call, guest);
  refuseStorages(call, guest);
  const { vmid } = guest;
  const order = { node: guest.node, id: String(vmid), user: access.name };
  if (haManaged(cluster, guest)) {
    const work = (log: TaskLog) => queueMigration(cluster, guest, to, log);
    return cluster.tasks.start({ ...order, type: "hamigrate", work });
  }
  return startMigration(cluster, guest, optionsOf(call, guest), access.name);
}

function isRoot({ access }: Call): boolean {
  return access.identity.user.id === "root@pam" && !access.identity.token;
}

/** A container's lock is noticed in the worker only. */
function refuseEarly({ values }: Call, guest: Guest): void {
  const running = guest.run.status === "running";
  if (guest.type === "qemu") {
    const locked = lockText(guest);
    if (locked !== undefined) throw died(locked);
    if (running && values["online"] !== "1")
      throw died("can't migrate running VM without --online");
  } else if (running && values["online"] !== "1" && values["restart"] !== "1") {
    throw died("can't migrate running container without --online or --restart");
  }
}

function optionsOf({ values }: Call, guest: Guest): MigrationOptions {
  return {
    target: values["target"] ?? "",
    online: values["online"] === "1",
    withLocalDisks: values["with-local-disks"] === "1",
    storageFor: mapping(values[guest.type === "qemu" ? "targetstorage" : "target-storage"]),
  };
}

/** `fast`: everything there; `a:b,c:d`: these; `1`: each to its like. */
function mapping(pairs: string | undefined): (storage: string) => string {
  const entries = (pairs ?? "").split(/[,;\s]+/).map((pair) => pair.split(":"));
  const map = new Map(
    entries.filter(([, to]) => to !== undefined).map(([a = "", b = ""]) => [a, b]),
  );
  const all = entries.find(([one, to]) => to === undefined && one !== "" && one !== "1")?.[0];
  return (storage) => map.get(storage) ?? all ?? storage;
}

function refuseStorages(call: Call, guest: Guest): void {
  const { cluster, access } = call;
  const { target: to, storageFor } = optionsOf(call, guest);
  const content = guest.type === "qemu" ? "images" : "rootdir";
  for (const { volid } of localDisks(cluster, guest)) {
    const from = volid.split(":")[0] ?? "";
    const wanted = storageFor(from);
    if (wanted === from) continue;
    const storage = usableStorage(cluster, wanted, to);
    access.need(`/storage/${wanted}`, "Datastore.AllocateSpace");
    if (!storage.content.includes(content)) {
      throw died(`content type '${content}' is not available on storage '${wanted}'`);
    }
  }
  const kept = missingStorages(cluster, guest, to).filter((id) => storageFor(id) === id);
  if (kept[0] !== undefined) throw died(`storage '${kept[0]}' is not available on node '${to}'`);
}
