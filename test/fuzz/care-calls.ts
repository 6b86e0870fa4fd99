import type { LoggedRequest } from "../../src/simulator/request-log.ts";
import type { World } from "../../src/simulator/world.ts";
import type { Arguments, Dice } from "./mutations.ts";

const nodes = ["pve1", "pve2", "pve3"];
const storages = ["local", "local-lvm", "nfs-shared"];
const backups = [
  "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst",
  "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst",
  "nfs-shared:backup/vzdump-lxc-200-2025_12_31-02_14_12.tar.zst",
  "nfs-shared:backup/vzdump-lxc-200-2025_12_31-02_14_13.tar.zst",
];
const guests = ["web-1", 102, "wiki", "qemu/110", "dns-1", "lxc/203", "files-1", "sandbox"];

/** A value or, more often, nothing. */
export function maybe<T>(dice: Dice, key: string, items: readonly T[]): Record<string, T> {
  return dice.chance(0.4) ? { [key]: dice.pick(items) } : {};
}

/** What every change takes. */
export const changing = (dice: Dice) => ({
  ...maybe(dice, "wait_s", [0, 1, 45, 120]),
  ...maybe(dice, "dry_run", [true, true, false]),
});
const oneOrSeveral = (dice: Dice) =>
  dice.chance(0.7)
    ? { guest: dice.pick(guests) }
    : { guests: [dice.pick(guests), dice.pick(guests)] };
const snapshot = (dice: Dice) => ({
  guest: dice.pick(["wiki", "151", "qemu/151", "web-1"]),
  name: dice.pick(["clean-install", "before-upgrade", "nope"]),
  ...maybe(dice, "confirm", ["wiki", "wiki", "web-1"]),
  ...changing(dice),
});

/** Valid calls of the tools that keep guests safe. */
export const careCalls: Readonly<Record<string, (dice: Dice) => Arguments>> = {
  rollback_snapshot: (dice) => ({ ...snapshot(dice), ...maybe(dice, "start", [true, false]) }),
  delete_snapshot: snapshot,
  list_backups: (dice) => ({
    ...maybe(dice, "guest", guests),
    ...maybe(dice, "storage", storages),
    ...maybe(dice, "node", nodes),
    ...maybe(dice, "older_than", ["1h", "7d"]),
    ...maybe(dice, "limit", [1, 5, 200]),
    ...maybe(dice, "max_age_s", [0, 5, 60]),
  }),
  create_backup: (dice) => ({
    ...oneOrSeveral(dice),
    ...maybe(dice, "storage", ["nfs-shared", "local"]),
    ...maybe(dice, "mode", ["snapshot", "suspend", "stop"]),
    ...maybe(dice, "notes", ["{{guestname}}", "by hand"]),
    ...maybe(dice, "protected", [true, false]),
    ...changing(dice),
  }),
  restore_backup: (dice) => ({
    volume: dice.pick(backups),
    ...(dice.chance(0.5)
      ? { guest: dice.pick(["staging-web-2", "build-2", "sandbox"]), confirm: "staging-web-2" }
      : { name: `back-${dice.below(1e6)}`, ...maybe(dice, "node", nodes) }),
    ...maybe(dice, "storage", storages),
    ...maybe(dice, "start", [true, false]),
    ...changing(dice),
  }),
  migrate_guest: (dice) => ({
    ...(dice.chance(0.9) ? oneOrSeveral(dice) : { from_node: dice.pick(nodes) }),
    ...maybe(dice, "target", nodes),
    ...maybe(dice, "storage", ["nfs-shared"]),
    ...maybe(dice, "at_once", [1, 4]),
    ...changing(dice),
  }),
};

const node = "/nodes/pve[123]";
const guest = `${node}/(?:qemu|lxc)/[1-9][0-9]{2,8}`;
const contents = ["GET /storage", `GET ${node}/storage/[a-z-]+/content`];

/** The requests that each may make besides the common ones. */
export const careRoutes: Readonly<Record<string, readonly string[]>> = {
  rollback_snapshot: [`GET ${guest}/snapshot`, `POST ${guest}/snapshot/[^/]+/rollback`],
  delete_snapshot: [`GET ${guest}/snapshot`, `DELETE ${guest}/snapshot/[^/]+`],
  list_backups: contents,
  create_backup: [...contents, `POST ${node}/vzdump`],
  restore_backup: [
    ...contents,
    "GET /cluster/nextid",
    `GET ${node}/vzdump/extractconfig`,
    `POST ${node}/(?:qemu|lxc)`,
  ],
  migrate_guest: [`(?:GET|POST) ${guest}/migrate`],
};

/** The guest that a request is about, in its path or in its body; NaN for none. */
export function subjectOf({ path, body }: LoggedRequest): number {
  const inPath = /\/(?:qemu|lxc)\/([0-9]+)/.exec(path)?.[1];
  return Number(inPath ?? (/\/(?:vzdump|qemu|lxc)$/.test(path) ? body["vmid"] : undefined));
}

/** Whether it makes a guest that was not there. */
export function makesGuest({ method, path, body }: LoggedRequest): boolean {
  return method === "POST" && /\/(?:qemu|lxc)$/.test(path) && body["force"] === undefined;
}

/** The changes of these tools that need the guest's name as consent. */
export function needsConsent(tool: string, request: LoggedRequest): boolean {
  const over = request.method === "POST" && request.body["force"] !== undefined;
  return (
    (tool === "restore_backup" && over) ||
    (tool === "rollback_snapshot" && request.path.endsWith("/rollback")) ||
    (tool === "delete_snapshot" && request.method === "DELETE")
  );
}

/** The vmids of a node that is to be emptied. */
export function emptied({ from_node: from }: Arguments, world: World): readonly number[] {
  const name = typeof from === "string" ? from.trim() : undefined;
  return [...world.guests.values()].filter((one) => one.node === name).map(({ vmid }) => vmid);
}
