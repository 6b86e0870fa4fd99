import type { Storage, User, Volume, World } from "../../src/simulator/world.ts";
import { volumeKey } from "../../src/simulator/world.ts";
import {
  addGuest,
  addPool,
  addToken,
  addUser,
  emptyWorld,
} from "../../src/simulator/world-builder.ts";

const gib = 1024 ** 3;
/** Milliseconds since the epoch at which the recordings begin. */
export const beginning = 1_795_453_605_000;
/** What stands for every password. */
export const password = "<PASSWORD>";
const madeAt = beginning / 1000 - 20;

/** The single host that the recordings come from, as it was at their beginning. */
export function rigWorld(): World {
  const world = emptyWorld(beginning, ["pve"]);
  const node = world.nodes.get("pve");
  if (node) {
    world.nodes.set("pve", {
      ...node,
      ip: "10.10.10.10",
      cpus: 2,
      memoryBytes: 25_276_510_208,
      rootBytes: 270_553_174_016,
      bootedAt: beginning - 4_600_000,
    });
  }
  world.bridges.delete("vmbr1");
  world.strangers.set("ghost", "No route to host");
  world.strangers.set("refuser", "Connection refused");
  world.web.set("http://127.0.0.1:8099/tiny.iso", { sizeBytes: 1_048_576, bytes: "tiny" });
  addStorages(world);
  addGuests(world);
  addPeople(world);
  return world;
}

function addStorages(world: World): void {
  const storages: Storage[] = [
    {
      id: "local",
      type: "dir",
      content: ["snippets", "rootdir", "images", "vztmpl", "backup", "iso", "import"],
      shared: false,
      nodes: [],
      disabled: false,
      totalBytes: 270_553_174_016,
      path: "/var/lib/vz",
    },
    {
      id: "local-btrfs",
      type: "btrfs",
      content: ["images", "rootdir"],
      shared: false,
      nodes: [],
      disabled: false,
      totalBytes: 6_442_450_944,
      path: "/mnt/btr",
    },
    {
      id: "iso-only",
      type: "dir",
      content: ["iso", "vztmpl"],
      shared: false,
      nodes: [],
      disabled: true,
      totalBytes: gib,
      path: "/var/lib/iso-only",
    },
  ];
  world.storages.clear();
  for (const storage of storages) world.storages.set(storage.id, storage);
  addVolume(world, {
    volid: "local:iso/rig-live.iso",
    content: "iso",
    format: "iso",
    sizeBytes: 17_362_944,
  });
  const template = "local:vztmpl/alpine-3.22-rig_20261123_amd64.tar.xz";
  addVolume(world, { volid: template, content: "vztmpl", format: "txz", sizeBytes: 907_040 });
}

function addVolume(world: World, volume: Omit<Volume, "node" | "ctime">): void {
  world.volumes.set(volumeKey(volume.volid, "pve"), { ...volume, node: "pve", ctime: madeAt });
}

/** A config as it is, without what the plan would make up. */
function bare(world: World, vmid: number, config: Readonly<Record<string, string>>): void {
  const guest = world.guests.get(vmid);
  if (guest) guest.config = { ...config };
}

function addGuests(world: World): void {
  const ids = (vmid: number) => ({
    smbios1: `uuid=00000000-0000-4000-8000-000000000${vmid}`,
    vmgenid: `00000000-0000-4000-9000-000000000${vmid}`,
    meta: `creation-qemu=10.0.13,ctime=${madeAt}`,
  });
  const disk = (name: string) => `local:${name},size=1G`;
  const plans: Readonly<Record<number, Readonly<Record<string, string>>>> = {
    100: {
      ...ids(100),
      name: "web",
      memory: "256",
      cores: "1",
      serial0: "socket",
      tags: "web;prod",
    },
    101: {
      ...ids(101),
      name: "db",
      memory: "256",
      cores: "2",
      scsi0: disk("101/vm-101-disk-0.qcow2"),
    },
    102: {
      ...ids(102),
      name: "tpl",
      memory: "128",
      template: "1",
      scsi0: disk("102/base-102-disk-0.qcow2"),
    },
  };
  for (const [vmid, config] of Object.entries(plans)) {
    const plan = {
      vmid: Number(vmid),
      name: "",
      node: "pve",
      config: { scsi0: config["scsi0"] ?? "none" },
    };
    addGuest(world, { ...plan, traits: { shutdownMs: "never" } });
    bare(world, Number(vmid), config);
  }
  const container = { arch: "amd64", memory: "64", swap: "0", ostype: "alpine", unprivileged: "1" };
  const roots = {
    200: disk("200/vm-200-disk-0.raw"),
    201: "local-btrfs:201/vm-201-disk-0.raw,size=1G",
  };
  for (const [vmid, rootfs] of Object.entries(roots)) {
    addGuest(world, { vmid: Number(vmid), name: "", node: "pve", type: "lxc", config: { rootfs } });
  }
  bare(world, 200, { ...container, hostname: "ct1", rootfs: roots[200], tags: "ct" });
  bare(world, 201, { ...container, hostname: "ct2", rootfs: roots[201] });
  const pool = addPool(world, "prod", "production");
  for (const vmid of [100, 201]) pool.vmids.add(vmid);
}

const noEmail = { email: "", comment: "rig user" };

function addPeople(world: World): void {
  person(world, "root@pam");
  for (const id of ["alice@pve", "auditor@pve", "nobody@pve"]) {
    Object.assign(person(world, id), noEmail);
  }
  for (const [id, privsep] of Object.entries({
    "root@pam!rig": false,
    "root@pam!sep": true,
    "alice@pve!full": false,
    "alice@pve!sep": true,
    "auditor@pve!ro": false,
  })) {
    addToken(world, { id, secret: secretOf(id), privsep });
  }
  const rig = world.users.get("root@pam")?.tokens.get("rig");
  if (rig) rig.comment = "full access";
  const grant = (path: string, who: string, role: string) => {
    const kind = who.includes("!") ? "token" : "user";
    world.acl.push({ path, who, kind, role, propagate: true });
  };
  grant("/", "auditor@pve", "PVEAuditor");
  grant("/storage/local", "alice@pve", "PVEDatastoreUser");
  grant("/vms/100", "alice@pve", "PVEVMAdmin");
  grant("/vms/100", "alice@pve!sep", "PVEAuditor");
  grant("/vms/101", "alice@pve", "PVEVMUser");
}

function person(world: World, id: string): User {
  const user = world.users.get(id) ?? addUser(world, id);
  user.password = password;
  return user;
}

export function secretOf(tokenId: string): string {
  return `<TOKEN-SECRET ${tokenId}>`;
}
