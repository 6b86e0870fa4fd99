import { installed } from "./certificates.ts";
import { disksOf, isCloudinit } from "./guest-config.ts";
import { builtInRoles } from "./roles.ts";
import {
  type Config,
  type Guest,
  type GuestType,
  type Run,
  type Snapshot,
  type Storage,
  stoppedGuest,
  type Traits,
  type User,
  volumeKey,
  type World,
} from "./world.ts";

const gib = 1024 ** 3;

/** Nodes, storages `local`, `local-lvm` and the shared `nfs-shared`, root@pam, no guests. `now`: milliseconds since the epoch. */
export function emptyWorld(
  now: number,
  nodes: readonly string[] = ["pve1", "pve2", "pve3"],
): World {
  const world: World = {
    clusterName: "lab",
    nodes: new Map(),
    strangers: new Map(),
    guests: new Map(),
    storages: new Map(standardStorages().map((storage) => [storage.id, storage])),
    volumes: new Map(),
    web: new Map(),
    pools: new Map(),
    users: new Map(),
    groups: new Map(),
    roles: builtInRoles(),
    acl: [],
    backupJobs: [],
    ha: new Map(),
    options: { keyboard: "en-us", mac_prefix: "BC:24:11", description: "" },
    bridges: new Set(["vmbr0", "vmbr1"]),
  };
  for (const [index, name] of nodes.entries()) {
    const bootedAt = now - (40 - (index % 20)) * 86_400_000;
    const ip = `192.0.2.${11 + (index % 200)}`;
    const hardware = { cpus: 32, memoryBytes: 128 * gib, rootBytes: 94 * gib };
    world.nodes.set(name, {
      name,
      id: index + 1,
      ip,
      online: true,
      ...hardware,
      bootedAt,
      certificates: installed(name, ip, now),
    });
  }
  addUser(world, "root@pam");
  return world;
}

function standardStorages(): Storage[] {
  const everywhere = { nodes: [], disabled: false };
  return [
    {
      id: "local",
      type: "dir",
      content: ["iso", "vztmpl", "backup", "import", "snippets"],
      shared: false,
      totalBytes: 94 * gib,
      path: "/var/lib/vz",
      ...everywhere,
    },
    {
      id: "local-lvm",
      type: "lvmthin",
      content: ["rootdir", "images"],
      shared: false,
      totalBytes: 1800 * gib,
      ...everywhere,
    },
    {
      id: "nfs-shared",
      type: "nfs",
      content: ["images", "rootdir", "iso", "backup", "import"],
      shared: true,
      totalBytes: 8000 * gib,
      path: "/mnt/pve/nfs-shared",
      ...everywhere,
    },
  ];
}

export interface GuestPlan {
  readonly vmid: number;
  readonly name: string;
  readonly node: string;
  readonly type?: GuestType;
  readonly cores?: number;
  readonly memoryMib?: number;
  readonly diskGib?: number;
  readonly storage?: string;
  /** Separated by `;`. */
  readonly tags?: string;
  readonly pool?: string;
  readonly template?: boolean;
  /** Milliseconds since the epoch of its start; absent: stopped. */
  readonly runningSince?: number;
  readonly snapshots?: readonly Snapshot[];
  /** Laid over what the plan makes. */
  readonly config?: Config;
  readonly traits?: Traits;
}

/** Puts a guest into a world, with its volume, as if it had always been there. */
export function addGuest(world: World, plan: GuestPlan): Guest {
  const { vmid, node, type = "qemu", pool, snapshots = [], traits = {} } = plan;
  const config = { ...(type === "qemu" ? vmConfig(plan) : containerConfig(plan)), ...plan.config };
  const guest = stoppedGuest({ vmid, type, node, config, traits });
  guest.snapshots.push(...snapshots);
  if (plan.runningSince !== undefined) guest.run = running(vmid, plan.runningSince);
  world.guests.set(vmid, guest);
  if (pool !== undefined) addPool(world, pool).vmids.add(vmid);
  for (const { volid, sizeBytes, cdrom } of disksOf(type, config)) {
    const storage = world.storages.get(volid.split(":")[0] ?? "");
    if (!storage || (cdrom && !isCloudinit(volid))) continue;
    const home = storage.shared ? "" : node;
    const content = type === "qemu" ? "images" : "rootdir";
    const format = volid.endsWith(".qcow2") ? "qcow2" : "raw";
    const ctime = 1_764_000_000 + vmid;
    world.volumes.set(volumeKey(volid, home), {
      volid,
      node: home,
      content,
      format,
      sizeBytes,
      ctime,
      vmid,
    });
  }
  return guest;
}

function running(vmid: number, since: number): Run {
  return { status: "running", qmpstatus: "running", since, pid: 2000 + vmid };
}

function volumeName({ vmid, storage = "local-lvm", template = false }: GuestPlan): string {
  const name = `${template ? "base" : "vm"}-${vmid}-disk-0`;
  return storage === "nfs-shared" ? `${storage}:${vmid}/${name}.qcow2` : `${storage}:${name}`;
}

function vmConfig(plan: GuestPlan): Config {
  const { vmid, name, cores = 2, memoryMib = 2048, diskGib = 16, tags, template } = plan;
  return {
    name,
    agent: "1",
    boot: "order=scsi0;net0",
    cores: String(cores),
    cpu: "x86-64-v2-AES",
    memory: String(memoryMib),
    meta: "creation-qemu=10.1.2,ctime=1764000000",
    net0: `virtio=${macOf(vmid)},bridge=vmbr0,firewall=1`,
    numa: "0",
    ostype: "l26",
    scsi0: `${volumeName(plan)},discard=on,iothread=1,size=${diskGib}G,ssd=1`,
    scsihw: "virtio-scsi-single",
    smbios1: `uuid=00000000-0000-4000-8000-${String(vmid).padStart(12, "0")}`,
    sockets: "1",
    vmgenid: `00000000-0000-4000-9000-${String(vmid).padStart(12, "0")}`,
    ...(tags === undefined ? {} : { tags }),
    ...(template ? { template: "1" } : {}),
  };
}

function containerConfig(plan: GuestPlan): Config {
  const { vmid, name, cores = 1, memoryMib = 512, diskGib = 8, tags, template } = plan;
  return {
    hostname: name,
    arch: "amd64",
    cores: String(cores),
    features: "nesting=1",
    memory: String(memoryMib),
    net0: `name=eth0,bridge=vmbr0,hwaddr=${macOf(vmid)},ip=dhcp,type=veth`,
    ostype: "debian",
    rootfs: `${volumeName(plan)},size=${diskGib}G`,
    swap: "512",
    unprivileged: "1",
    ...(tags === undefined ? {} : { tags }),
    ...(template ? { template: "1" } : {}),
  };
}

function macOf(vmid: number): string {
  const hex = vmid.toString(16).toUpperCase().padStart(6, "0");
  return `BC:24:11:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

/** The pool of that name, made when it is not there. */
export function addPool(world: World, id: string, comment = ""): ReturnType<typeof newPool> {
  const pool = world.pools.get(id) ?? newPool(id, comment);
  world.pools.set(id, pool);
  return pool;
}

function newPool(id: string, comment: string) {
  return { id, comment, vmids: new Set<number>(), storages: new Set<string>() };
}

export function addUser(world: World, id: string): User {
  const user: User = {
    id,
    enabled: true,
    expire: 0,
    comment: "",
    groups: new Set(),
    tokens: new Map(),
  };
  world.users.set(id, user);
  return user;
}

/** A token; the user is made when it is not there. `roles`: role by ACL path, granted to the user or, with privsep, the token. */
export function addToken(
  world: World,
  token: {
    readonly id: string;
    readonly secret: string;
    readonly privsep?: boolean;
    readonly roles?: Readonly<Record<string, string>>;
  },
): void {
  const [userId = "", name = ""] = token.id.split("!");
  const user = world.users.get(userId) ?? addUser(world, userId);
  const privsep = token.privsep ?? false;
  user.tokens.set(name, { secret: token.secret, privsep, expire: 0, comment: "" });
  for (const [path, role] of Object.entries(token.roles ?? {})) {
    const who = privsep ? token.id : userId;
    world.acl.push({ path, who, kind: privsep ? "token" : "user", role, propagate: true });
  }
}

/** Many ordinary guests on many nodes, for figures about size. */
export function largeWorld(
  now: number,
  size: { readonly nodes: number; readonly guests: number },
): World {
  const names = Array.from({ length: size.nodes }, (_, index) => `node${index + 1}`);
  const world = emptyWorld(now, names);
  for (let index = 0; index < size.guests; index++) {
    const node = names[index % names.length] ?? "node1";
    const runningSince = index % 3 === 0 ? {} : { runningSince: now - 3_600_000 - index * 1000 };
    addGuest(world, {
      vmid: 100 + index,
      name: `guest-${index}`,
      node,
      tags: "many",
      ...runningSince,
    });
  }
  return world;
}
