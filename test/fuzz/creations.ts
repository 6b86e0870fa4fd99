import type { Arguments, Dice } from "./mutations.ts";

const nodes = ["pve1", "pve2", "pve3"];

function maybe<T>(dice: Dice, key: string, items: readonly T[]): Record<string, T> {
  return dice.chance(0.4) ? { [key]: dice.pick(items) } : {};
}

const common = (dice: Dice): Arguments => ({
  name: `made-${dice.below(1e6)}`,
  ...maybe(dice, "vmid", [900 + dice.below(50)]),
  ...maybe(dice, "node", nodes),
  ...maybe(dice, "pool", ["staging"]),
  ...maybe(dice, "tags", [["a", "b"]]),
  ...maybe(dice, "wait_s", [0, 1, 45, 120]),
  ...maybe(dice, "dry_run", [true, true, false]),
});

/** What clones of VMs and of containers take. */
export const cloning = (dice: Dice): Arguments => {
  const { tags: _, ...rest } = common(dice);
  return {
    ...rest,
    ...maybe(dice, "full", [true, false]),
    ...maybe(dice, "start", [true, false]),
  };
};

/** What a clone may be given besides what it inherits. */
export const settings = (dice: Dice): Arguments => ({
  ...maybe(dice, "cores", [1, 4]),
  ...maybe(dice, "memory", [512]),
  ...(dice.chance(0.2) && { count: 2 }),
});

/** Valid calls of the tools that make guests. */
export const creationCalls: Readonly<Record<string, (dice: Dice) => Arguments>> = {
  create_vm: (dice) => ({
    ...common(dice),
    ...maybe(dice, "disks", [["local-lvm:1"], ["nfs-shared:1,format=qcow2", "local-lvm:2"]]),
    ...maybe(dice, "nics", [["vmbr0"], ["vmbr0,tag=5", "e1000,bridge=vmbr1"]]),
    ...maybe(dice, "iso", ["nfs-shared:iso/virtio-win-0.1.285.iso"]),
    ...maybe(dice, "start", [true, false]),
    ...maybe(dice, "options", [{ onboot: "1" }]),
  }),
  create_container: (dice) => ({
    ...common(dice),
    template: dice.pick([
      "debian-13-standard",
      "docker.io/library/alpine:3.22",
      "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
    ]),
    rootfs: "local-lvm:1",
    ...maybe(dice, "mounts", [["local-lvm:1,mp=/data"]]),
    ...maybe(dice, "nics", [["vmbr0,ip=dhcp"]]),
    ...maybe(dice, "unprivileged", [true]),
    ...maybe(dice, "start", [true, false]),
  }),
  create_template: (dice) => {
    const { pool: _, ...rest } = common(dice);
    return {
      ...rest,
      url: dice.pick([
        "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2",
        "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img",
      ]),
      storage: dice.pick(["local-lvm", "nfs-shared"]),
      ...maybe(dice, "image_storage", ["local", "nfs-shared"]),
      ...maybe(dice, "size", [4, 10]),
      ...maybe(dice, "user", ["debian"]),
    };
  },
};

const node = "/nodes/pve[123]";
const reads = [
  "GET /cluster/nextid",
  "GET /storage",
  `GET ${node}/storage/[a-z-]+/(?:content|status)`,
];

/** The requests that each of them may make besides the common ones. */
export const creationRoutes: Readonly<Record<string, readonly string[]>> = {
  create_vm: [...reads, `POST ${node}/qemu`],
  create_template: [
    ...reads,
    `GET ${node}/tasks`,
    `POST ${node}/storage/[a-z-]+/download-url`,
    `POST ${node}/qemu`,
    `PUT ${node}/qemu/[0-9]+/resize`,
    `POST ${node}/qemu/[0-9]+/template`,
  ],
  create_container: [
    ...reads,
    `GET ${node}/version`,
    `(?:GET|POST) ${node}/aplinfo`,
    `POST ${node}/storage/[a-z-]+/oci-registry-pull`,
    `POST ${node}/lxc`,
  ],
};

/** A node that nobody has named may be any: the tools choose it. */
export function isCreation(method: string, path: string, { node: at }: Arguments): boolean {
  const [, onNode] =
    /^\/nodes\/([^/]+)\/(?:qemu|lxc|aplinfo|storage\/[^/]+\/(?:oci-registry-pull|download-url))$/.exec(
      path,
    ) ?? [];
  const named = typeof at === "string" ? at.trim() : undefined;
  return method === "POST" && onNode !== undefined && (named === undefined || named === onNode);
}
