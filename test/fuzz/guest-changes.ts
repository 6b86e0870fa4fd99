import type { Arguments, Dice } from "./mutations.ts";

const guests = ["web-1", 102, "qemu/110", "db-1", "wiki", "dns-1", 201, "lxc/203", "files-1"];
const idle = [
  ["build-2", "build-2"],
  ["302", "staging-web-2"],
  ["310", "sandbox"],
  ["311", "sandbox"],
] as const;

function maybe<T>(dice: Dice, key: string, items: readonly T[]): Record<string, T> {
  return dice.chance(0.4) ? { [key]: dice.pick(items) } : {};
}

const changing = (dice: Dice) => ({
  ...maybe(dice, "wait_s", [0, 1, 45, 120]),
  ...maybe(dice, "dry_run", [true, false]),
});
const confirmed = (dice: Dice) => {
  const [guest, confirm] = dice.pick(idle);
  return { guest, ...(dice.chance(0.6) && { confirm }), ...changing(dice) };
};
const disks = ["scsi0", "scsi1", "rootfs", "mp0", "unused0"];

/** Valid calls that change a guest's options, its disks, or whether it runs. */
export const guestChangeCalls: Readonly<Record<string, (dice: Dice) => Arguments>> = {
  restart_guest: (dice) => ({
    guest: dice.pick(guests),
    ...maybe(dice, "mode", ["reboot", "reset"]),
    ...changing(dice),
  }),
  update_guest: (dice) => ({
    guest: dice.pick(guests),
    ...maybe(dice, "set", [
      { cores: 2, memory: "1024" },
      { tags: ["a", "b"], notes: "x", onboot: true },
      { net0: "bridge=vmbr1", "net0.tag": 7 },
    ]),
    ...maybe(dice, "unset", [["onboot"], ["net0.tag", "description"]]),
    ...maybe(dice, "digest", ["0".repeat(40)]),
    ...changing(dice),
  }),
  resize_disk: (dice) => ({
    guest: dice.pick(guests),
    disk: dice.pick(disks),
    size: dice.pick(["+1G", "64G", "1M"]),
    ...changing(dice),
  }),
  move_disk: (dice) => ({
    guest: dice.pick(guests),
    disk: dice.pick(disks),
    storage: dice.pick(["local-lvm", "nfs-shared", "local"]),
    ...maybe(dice, "delete_source", [true, false]),
    ...changing(dice),
  }),
  attach_disk: (dice) => ({
    guest: dice.pick(guests),
    ...(dice.chance(0.6)
      ? { size: "1G", storage: dice.pick(["local-lvm", "nfs-shared"]) }
      : { volume: dice.pick(["unused0", "nfs-shared:iso/virtio-win-0.1.285.iso"]) }),
    ...maybe(dice, "slot", ["scsi", "virtio1", "mp1"]),
    ...maybe(dice, "mountpoint", ["/srv/data"]),
    ...maybe(dice, "options", ["backup=0"]),
    ...changing(dice),
  }),
  detach_disk: (dice) => ({
    ...confirmed(dice),
    disk: dice.pick(disks),
    ...maybe(dice, "destroy", [true, false]),
  }),
  convert_to_template: confirmed,
};

const guest = "/nodes/pve[123]/(?:qemu|lxc)/[1-9][0-9]{2,8}";
const config = [`GET ${guest}/(?:pending|config)`, `(?:POST|PUT) ${guest}/config`];

/** The requests that each of these tools may make besides the common ones. */
export const guestChangeRoutes: Readonly<Record<string, readonly string[]>> = {
  restart_guest: [`POST ${guest}/status/(?:reboot|reset)`],
  update_guest: config,
  resize_disk: [`PUT ${guest}/resize`],
  move_disk: ["GET /storage", `GET ${guest}/snapshot`, `POST ${guest}/move_(?:disk|volume)`],
  attach_disk: ["GET /storage", ...config],
  detach_disk: [`GET ${guest}/snapshot`, ...config],
  convert_to_template: [
    `GET ${guest}/snapshot`,
    `POST ${guest}/template`,
    "GET /nodes/pve[123]/tasks",
  ],
};
