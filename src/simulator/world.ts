import type { NodeCertificates, Pems } from "./certificates.ts";

export type GuestType = "qemu" | "lxc";

/** `key: value` as in the config file; every value a string, also numbers and booleans. */
export type Config = Record<string, string>;

export interface Node {
  readonly name: string;
  readonly id: number;
  readonly ip: string;
  online: boolean;
  /** Logical CPUs. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly rootBytes: number;
  /** Milliseconds since the epoch. */
  bootedAt: number;
  certificates: NodeCertificates;
  /** `acme`, `acmedomain0` … of /etc/pve/nodes/…/config; absent: there is no such file. */
  config?: Config;
}

export interface Snapshot {
  readonly name: string;
  /** Unix seconds. */
  readonly snaptime: number;
  readonly description: string;
  parent?: string;
  /** The volume that holds the RAM, when it was saved. */
  readonly vmstate?: string;
  /** Where taking or removing it came to no end. */
  snapstate?: "prepare" | "delete";
  readonly config: Config;
}

/** How a guest behaves; none of it is in its config. */
export interface Traits {
  /** Milliseconds from the power button to off; `never` ignores ACPI. */
  shutdownMs?: number | "never";
  /** Whether a QEMU guest agent answers inside; it still has to be enabled in the config. */
  agent?: boolean;
  /** Milliseconds from the start until the agent answers. */
  bootMs?: number;
  /** Addresses with prefix length: `192.0.2.10/24`. */
  addresses?: string[];
  os?: { id: string; name: string; version: string; kernel: string };
  /** Share of its CPUs that it uses, 0..1. */
  load?: number;
  /** Milliseconds since the epoch; rounds of pvestatd before that know nothing of the guest. */
  bornAt?: number;
  /** Options that it refuses to take while it runs, with QEMU's text. */
  hotplugFails?: Readonly<Record<string, string>>;
}

export interface Run {
  status: "running" | "stopped";
  /** `running`, `paused`, `stopped` …: what QMP says. */
  qmpstatus: string;
  /** Milliseconds since the epoch; of the start. */
  since: number;
  pid: number;
}

export interface Guest {
  readonly vmid: number;
  readonly type: GuestType;
  node: string;
  config: Config;
  pending: Config;
  /** Keys whose deletion is pending. */
  pendingDelete: string[];
  /** Those of them whose volumes go too. */
  pendingForce?: string[];
  snapshots: Snapshot[];
  run: Run;
  readonly traits: Traits;
  /** In their order; absent: none. */
  firewall?: readonly FirewallRule[];
}

/** As the API shows it, without position and digest. */
export interface FirewallRule {
  readonly type: "in" | "out" | "group";
  /** `ACCEPT`, `DROP`, `REJECT`, or the name of a group. */
  readonly action: string;
  readonly enable: 0 | 1;
  readonly proto?: string;
  readonly dport?: string;
  readonly source?: string;
  readonly macro?: string;
  readonly comment?: string;
}

export interface Storage {
  readonly id: string;
  readonly type: "dir" | "btrfs" | "lvmthin" | "nfs" | "zfspool" | "pbs";
  readonly content: string[];
  readonly shared: boolean;
  /** Empty: all nodes. */
  readonly nodes: string[];
  disabled: boolean;
  readonly totalBytes: number;
  readonly path?: string;
  /** Its server does not answer. */
  offline?: boolean;
}

/** What a URL serves to the hosts. */
export interface WebFile {
  readonly sizeBytes: number;
  /** Stands in for its bytes: checksums are of this. */
  readonly bytes: string;
}

export interface Volume {
  volid: string;
  /** The node that has it; empty for shared storages. */
  readonly node: string;
  readonly content: "images" | "rootdir" | "iso" | "vztmpl" | "backup" | "import" | "snippets";
  format: string;
  sizeBytes: number;
  /** Unix seconds. */
  readonly ctime: number;
  readonly vmid?: number;
  /** The base volume of a linked clone. */
  readonly parent?: string;
  notes?: string;
  protected?: boolean;
  /** Stands in for its bytes, where it was downloaded. */
  readonly bytes?: string;
  /** What a backup holds. */
  readonly archive?: Archive;
}

/** A guest as it was when it was backed up. */
export interface Archive {
  readonly type: GuestType;
  readonly config: Config;
}

export interface Pool {
  readonly id: string;
  comment: string;
  readonly vmids: Set<number>;
  readonly storages: Set<string>;
}

export interface Token {
  readonly secret: string;
  readonly privsep: boolean;
  /** Unix seconds; 0 never. */
  expire: number;
  comment: string;
}

export interface User {
  readonly id: string;
  enabled: boolean;
  /** Unix seconds; 0 never. */
  expire: number;
  comment: string;
  email?: string;
  /** Absent: nobody logs in as this user. */
  password?: string;
  /** The digits that its second factor shows; absent: it has none. */
  totp?: string;
  readonly groups: Set<string>;
  /** By the part after `!`. */
  readonly tokens: Map<string, Token>;
}

export interface AclEntry {
  readonly path: string;
  /** User, group or full token id. */
  readonly who: string;
  readonly kind: "user" | "group" | "token";
  readonly role: string;
  readonly propagate: boolean;
}

export interface HaResource {
  /** `vm:100` or `ct:200`. */
  readonly sid: string;
  /** What was asked for. */
  request: "started" | "stopped" | "disabled" | "ignored";
  readonly maxRestart: number;
  readonly maxRelocate: number;
}

/** As GET /cluster/backup lists it. */
export interface BackupJob {
  readonly id: string;
  vmids: number[];
  all: boolean;
  pool?: string;
  schedule: string;
  storage: string;
  enabled: boolean;
  comment?: string;
}

/** What tickets are signed with. */
export interface TicketKey {
  readonly secret: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** What the cluster knows of ACME, and how the authority answers. */
export interface AcmeWorld {
  readonly accounts: Set<string>;
  /** By id: `dns` or `standalone`. */
  readonly plugins: Map<string, string>;
  /** By node: what the authority issues next; without it a certificate that nobody could present. */
  readonly issues: Map<string, Pems>;
  /** The domains whose validation fails. */
  readonly invalid: Set<string>;
  /** Fingerprints that the authority was told to revoke. */
  readonly revoked: string[];
}

/** The whole state of a cluster; plain data that tests may look into. */
export interface World {
  readonly clusterName: string;
  readonly nodes: Map<string, Node>;
  /** Names that resolve without being members of the cluster, and how connecting to them fails. */
  readonly strangers: Map<string, string>;
  readonly guests: Map<number, Guest>;
  readonly storages: Map<string, Storage>;
  readonly volumes: Map<string, Volume>;
  /** By URL; a host that no URL here names does not exist. */
  readonly web: Map<string, WebFile>;
  readonly pools: Map<string, Pool>;
  readonly users: Map<string, User>;
  /** The newest first; made when the first ticket is. */
  ticketKeys?: readonly TicketKey[];
  /** Group → its comment. */
  readonly groups: Map<string, string>;
  readonly roles: Map<string, ReadonlySet<string>>;
  acl: AclEntry[];
  backupJobs: BackupJob[];
  readonly ha: Map<string, HaResource>;
  /** GET /cluster/options; values as in datacenter.cfg. */
  readonly options: Record<string, unknown>;
  readonly bridges: Set<string>;
  /** Absent: no account was ever registered. */
  acme?: AcmeWorld;
  /** Names of the PCI devices that are mapped in the cluster. */
  readonly pciMappings?: Set<string>;
}

/** Volumes of node-local storages repeat from node to node: the key tells them apart. */
export function volumeKey(volid: string, node: string): string {
  return `${node}/${volid}`;
}

/** `vm:100`, `ct:200`: how HA calls a guest. */
export function serviceId(guest: { readonly type: GuestType; readonly vmid: number }): string {
  return `${guest.type === "qemu" ? "vm" : "ct"}:${guest.vmid}`;
}

/** A guest that is switched off, with nothing but its config. */
export function stoppedGuest(
  guest: Pick<Guest, "vmid" | "type" | "node" | "config"> & { readonly traits?: Traits },
): Guest {
  return {
    vmid: guest.vmid,
    type: guest.type,
    node: guest.node,
    config: guest.config,
    pending: {},
    pendingDelete: [],
    snapshots: [],
    run: { status: "stopped", qmpstatus: "stopped", since: 0, pid: 0 },
    traits: guest.traits ?? {},
  };
}
