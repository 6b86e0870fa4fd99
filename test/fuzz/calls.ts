import type { LoggedRequest } from "../../src/simulator/request-log.ts";
import type { World } from "../../src/simulator/world.ts";
import * as care from "./care-calls.ts";
import { changing, maybe } from "./care-calls.ts";
import { cloning, creationCalls, creationRoutes, isCreation, settings } from "./creations.ts";
import { guestChangeCalls, guestChangeRoutes } from "./guest-changes.ts";
import type { Arguments, Dice } from "./mutations.ts";
import { usageCalls, usageRoutes } from "./uses.ts";

const vms = ["web-1", 102, "103", "qemu/110", "db-1", "db-2", "wiki", "build-1", "staging-web-1"];
const containers = ["dns-1", 201, "202", "lxc/203", "metrics", "staging-cache", "git"];
const guests = [...vms, ...containers, "build-2", "files-1", "legacy-erp", "gateway-1", "sandbox"];
/** Guests that are switched off, so that deleting them is possible. */
const idle = [
  ["build-2", "build-2"],
  ["212", "build-2"],
  ["staging-web-2", "staging-web-2"],
  ["310", "sandbox"],
  ["311", "sandbox"],
] as const;
const nodes = ["pve1", "pve2", "pve3"];
const storages = ["local", "local-lvm", "nfs-shared"];

const volumes = [
  "local:iso/debian-13.2.0-amd64-netinst.iso",
  "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
  "nfs-shared:iso/virtio-win-0.1.285.iso",
  "nfs-shared:iso/none.iso",
  "local-lvm:vm-101-disk-0",
];

/** Every name that means something on the demo cluster. */
export const names: readonly string[] = [...guests.map(String), ...nodes, "nfs-shared", "staging"];

const reading = (dice: Dice) => maybe(dice, "max_age_s", [0, 5, 60]);
const include = ["pending", "agent", "snapshots", "backups", "ha", "firewall"];
const oneOrSeveral = (dice: Dice) =>
  dice.chance(0.7)
    ? { guest: dice.pick(guests) }
    : { guests: [dice.pick(guests), dice.pick(guests)] };

/** Valid calls, one maker a tool: a tool without one cannot be fuzzed and fails the test. */
export const validCalls: Readonly<
  Record<string, (dice: Dice, upids: readonly string[]) => Arguments>
> = {
  ...guestChangeCalls,
  ...care.careCalls,
  list_guests: (dice) => ({
    ...maybe(dice, "name", ["web-*", "*-1"]),
    ...maybe(dice, "tag", ["prod", "web"]),
    ...maybe(dice, "pool", ["staging"]),
    ...maybe(dice, "node", nodes),
    ...maybe(dice, "status", ["running", "stopped"]),
    ...maybe(dice, "type", ["qemu", "lxc"]),
    ...maybe(dice, "managed", [true, false]),
    ...maybe(dice, "sort", ["cpu", "memory", "disk", "uptime"]),
    ...maybe(dice, "limit", [1, 5, 500]),
    ...reading(dice),
  }),
  get_vm: (dice) => ({
    vm: dice.pick(vms),
    ...maybe(dice, "include", [[dice.pick(include)], include]),
    ...reading(dice),
  }),
  get_container: (dice) => ({
    container: dice.pick(containers),
    ...maybe(dice, "include", [[dice.pick(include)], include]),
    ...reading(dice),
  }),
  get_cluster: reading,
  get_node: (dice) => ({ node: dice.pick(nodes), ...reading(dice) }),
  get_tasks: (dice, upids) => ({
    ...(upids.length > 0 && maybe(dice, "upid", upids)),
    ...maybe(dice, "guest", guests),
    ...maybe(dice, "node", nodes),
    ...maybe(dice, "state", ["running", "ok", "failed"]),
    ...maybe(dice, "since", ["1h", "2026-01-01T00:00:00Z"]),
    ...maybe(dice, "wait_s", [0, 10]),
    ...maybe(dice, "log_lines", [0, 5, 500]),
  }),
  get_connection_status: reading,
  ...usageCalls,
  list_storage: (dice) => ({
    ...maybe(dice, "storage", storages),
    ...maybe(dice, "node", nodes),
    ...maybe(dice, "content", ["iso", "backup", "images"]),
    ...maybe(dice, "limit", [1, 5, 500]),
  }),
  list_certificates: (dice) => ({ ...maybe(dice, "node", nodes), ...reading(dice) }),
  create_snapshot: (dice) => ({
    // Only VMs have a memory to save.
    ...(dice.chance(0.3) ? { guest: dice.pick(vms), memory: true } : oneOrSeveral(dice)),
    ...(dice.chance(0.5)
      ? maybe(dice, "name", [`fuzz-${dice.below(1e6)}`, "before-upgrade"])
      : { prefix: "auto-", keep: 1 }),
    ...maybe(dice, "description", ["by hand"]),
    ...changing(dice),
  }),
  ...creationCalls,
  download_storage: (dice) => ({
    storage: dice.pick(["local", "nfs-shared"]),
    url: "https://example.invalid/images/tiny.iso",
    content: "iso",
    ...maybe(dice, "node", nodes),
    ...changing(dice),
  }),
  delete_storage_content: (dice) => {
    const volume = dice.pick(volumes);
    return {
      volume,
      ...(dice.chance(0.6) && { confirm: volume }),
      ...maybe(dice, "node", nodes),
      ...changing(dice),
    };
  },
  create_certificate: (dice) => ({
    // Certificate and key are added by the test, which makes them.
    node: dice.pick(nodes),
    ...maybe(dice, "force", [true, false]),
    ...changing(dice),
  }),
  delete_certificate: (dice) => ({ node: dice.pick(nodes), ...changing(dice) }),
  clone_vm: (dice) => ({
    vm: dice.pick([...vms, 9000, "debian-13-template"]),
    ...cloning(dice),
    ...settings(dice),
  }),
  clone_container: (dice) => ({
    container: dice.pick([9001, 311, ...containers]),
    ...cloning(dice),
  }),
  start_guest: (dice) => ({ ...oneOrSeveral(dice), ...changing(dice) }),
  stop_guest: (dice) => ({
    ...oneOrSeveral(dice),
    ...maybe(dice, "mode", ["shutdown", "stop", "suspend"]),
    ...maybe(dice, "timeout_s", [1, 30]),
    ...changing(dice),
  }),
  delete_guest: (dice) => {
    const [guest, confirm] = dice.pick(idle);
    return {
      guest,
      ...(dice.chance(0.6) && { confirm }),
      ...maybe(dice, "purge", [true, false]),
      ...changing(dice),
    };
  },
};

const node = "/nodes/pve[123]";
const guest = `${node}/(?:qemu|lxc)/[1-9][0-9]{2,8}`;
const upid = "UPID:pve[123]:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[a-z_]+:[^/:]*:[^/:]+:";

/** What any call may read: who is there, who a guest is, and how tasks go on that earlier calls have begun. */
const common = [
  "GET /cluster/resources",
  // Whether anything happened to what is in memory.
  "GET /cluster/log",
  "GET /access/permissions",
  `GET ${guest}/config`,
  `GET ${guest}/status/current`,
  `GET ${node}/tasks/${upid}/(?:status|log)`,
];
const details = [
  `GET ${guest}/(?:pending|snapshot|firewall/rules|agent/[a-z-]+|interfaces)`,
  "GET /cluster/ha/resources/(?:vm|ct):[0-9]+",
  `GET ${node}/storage/[a-z-]+/content`,
];
const addresses = `GET ${guest}/agent/network-get-interfaces`;
const cloneRoutes = [
  "GET /cluster/nextid",
  `GET ${guest}/snapshot`,
  `POST ${guest}/clone`,
  addresses,
];

const storageReads = ["GET /storage", `GET ${node}/storage(?:/[a-z-]+/(?:content|status))?`];

/** The requests that each tool may make besides the common ones. */
const routes: Readonly<Record<string, readonly string[]>> = {
  ...guestChangeRoutes,
  ...care.careRoutes,
  get_vm: details,
  get_container: details,
  get_cluster: ["GET /cluster/(?:status|tasks|ha/status/current)", `GET ${node}/version`],
  get_node: [`GET ${node}/status`],
  list_storage: storageReads,
  create_snapshot: [`(?:GET|POST) ${guest}/snapshot`, `DELETE ${guest}/snapshot/[^/]+`],
  download_storage: [...storageReads, `POST ${node}/storage/[a-z-]+/download-url`],
  delete_storage_content: [
    ...storageReads,
    `GET ${guest}/snapshot(?:/[^/]+/config)?`,
    `DELETE ${node}/storage/[a-z-]+/content/[^/]+(?:/[^/]+)?`,
  ],
  // A well-formed UPID names a node itself, be it one of ours or not.
  get_tasks: [
    "GET /cluster/tasks",
    `GET ${node}/tasks`,
    `GET /nodes/pve9/tasks/${upid.replace("[123]", "9")}/(?:status|log)`,
  ],
  get_connection_status: ["GET /version", "GET /access/permissions"],
  ...usageRoutes,
  ...creationRoutes,
  clone_vm: cloneRoutes,
  clone_container: cloneRoutes,
  start_guest: [`POST ${guest}/status/(?:start|resume)`],
  stop_guest: [`POST ${guest}/status/(?:shutdown|stop|suspend)`],
  delete_guest: [
    `DELETE ${guest}`,
    "GET /cluster/backup",
    "GET /cluster/ha/resources/(?:vm|ct):[0-9]+",
  ],
};

/** What a call has sent that it must not: paths of others, steps through the path, changes of what it has not named. */
export function strayed(
  tool: string,
  args: Arguments,
  requests: readonly LoggedRequest[],
  guests: { readonly named: ReadonlySet<number>; readonly clones: ReadonlySet<number> },
): readonly string[] {
  const own = new RegExp(`^(?:${[...common, ...(routes[tool] ?? [])].join("|")})$`);
  // A new guest is tagged, grown and started when it is ready, whatever is called meanwhile.
  const later = new RegExp(
    `^(?:PUT ${guest}/(?:config|resize)|POST ${guest}/(?:status/start|template))$`,
  );
  return requests
    .filter((request) => {
      const { method, path } = request;
      const line = `${method} ${path}`;
      const vmid = care.subjectOf(request);
      if (path.split("/").some((piece) => /^\.{1,2}$/.test(piece))) return true;
      if (guests.clones.has(vmid) && later.test(line)) return false;
      const made =
        own.test(line) &&
        (isCreation(method, path, args) || (tool === "restore_backup" && care.makesGuest(request)));
      const meant = made || (Number.isNaN(vmid) ? isMeant(path, args) : guests.named.has(vmid));
      return !own.test(line) || (method !== "GET" && !meant);
    })
    .map(({ method, path }) => `${method} ${path}`);
}

/** Whether the node, the storage and the volume of a path are those of the call. */
function isMeant(path: string, { node: at, storage, volume, upid: task }: Arguments): boolean {
  const word = (value: unknown) => (typeof value === "string" ? value.trim() : undefined);
  if (typeof task === "string") return path.endsWith(`/tasks/${task}`);
  const [, onNode] = /^\/nodes\/([^/]+)/.exec(path) ?? [];
  const [, inStorage, content] = /\/storage\/([^/]+)(?:\/content\/(.+))?/.exec(path) ?? [];
  const asked = word(storage) ?? word(volume)?.split(":")[0];
  return (
    (at === undefined ? inStorage !== undefined : word(at) === onNode) &&
    (inStorage === undefined || inStorage === asked) &&
    (content === undefined || content === word(volume))
  );
}

/** The changes that need a word of consent which the call has not given. */
export function unconfirmed(
  tool: string,
  { confirm, volume }: Arguments,
  changes: readonly LoggedRequest[],
  nameOf: ReadonlyMap<number, string>,
): readonly string[] {
  const destroying = ["delete_guest", "delete_storage_content"].includes(tool);
  return changes
    .filter((request) => {
      const { method, path } = request;
      if (care.needsConsent(tool, request)) return confirm !== nameOf.get(care.subjectOf(request));
      if (!destroying || method !== "DELETE") return false;
      const name = nameOf.get(Number(/\/(?:qemu|lxc)\/([0-9]+)$/.exec(path)?.[1]));
      return confirm !== (name ?? (typeof volume === "string" ? volume.trim() : undefined));
    })
    .map(({ method, path }) => `${method} ${path}`);
}

/** The names of all guests. */
export function namesIn(world: World): Map<number, string> {
  return new Map(
    [...world.guests.values()].map(({ vmid, config }) => [
      vmid,
      config["name"] ?? config["hostname"] ?? String(vmid),
    ]),
  );
}

/** The vmids that the arguments of a call name, by vmid, `type/vmid` or name. */
export function namedIn(args: Arguments, world: World): Set<number> {
  const { vm, container, guest: one, guests: many } = args;
  const references = [vm, container, one, ...(Array.isArray(many) ? many : [])].map((reference) =>
    typeof reference === "string" || typeof reference === "number"
      ? String(reference).trim().toLowerCase()
      : undefined,
  );
  const meant = [...world.guests.values()].filter(({ vmid, type, config }) =>
    [String(vmid), `${type}/${vmid}`, (config["name"] ?? config["hostname"])?.toLowerCase()].some(
      (word) => word !== undefined && references.includes(word),
    ),
  );
  return new Set([...meant.map(({ vmid }) => vmid), ...care.emptied(args, world)]);
}
