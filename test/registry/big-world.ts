import { adminToken } from "../../src/simulator/demo-credentials.ts";
import type { World } from "../../src/simulator/world.ts";
import { addGuest, addPool, addToken, emptyWorld } from "../../src/simulator/world-builder.ts";
import type { Tool } from "../../src/tool.ts";
import { certificate } from "../certificate.ts";

const pems = await certificate("pve-04");

/** The plainest call of a tool that the big cluster answers without an error; `upid` is any task of it. */
export function plainCall({ name, input }: Tool, upid = ""): Record<string, unknown> {
  const plain: Record<string, string> = {
    vm: "103",
    container: "109",
    guest: "104",
    node: "pve-04",
  };
  const given = Object.keys(input.shape).filter(
    (key) => key in plain && !(key === "node" && name !== "get_node"),
  );
  const own: Record<string, unknown> = {
    ...(name.startsWith("clone_") && { name: `${name.replace("_", "-")}-1` }),
    ...(name === "create_vm" && { name: "new-1", disks: ["local-lvm:8"] }),
    ...(name === "create_container" && { name: "new-2", template: "alpine-3.22-default" }),
    ...(name === "create_container" && { rootfs: "local-lvm:4" }),
    ...(name === "create_template" && { name: "new-3", url: image, storage: "local-lvm" }),
    ...(name === "clone_container" && { container: "114" }),
    ...(name === "update_guest" && { guest: "103", set: { cores: 4, tags: ["web"] } }),
    ...(name === "resize_disk" && { guest: "103", disk: "scsi0", size: "+1G" }),
    ...(name === "migrate_guest" && { guest: "119" }),
    ...(name === "move_disk" && { guest: "106", disk: "scsi0", storage: "nfs-shared" }),
    ...(name === "attach_disk" && { guest: "107", size: "1G", storage: "local-lvm" }),
    ...(name === "detach_disk" && { guest: "108", disk: "scsi0", confirm: "app-8.example.net" }),
    ...(name === "convert_to_template" && { guest: "122", confirm: "app-22.example.net" }),
    ...(name === "restart_guest" && { guest: "105" }),
    ...(name === "create_certificate" && { node: "pve-04", certificate: pems.cert, key: pems.key }),
    ...(name === "delete_certificate" && { node: "pve-04" }),
    ...(name === "delete_guest" && { guest: "111", confirm: "app-11.example.net" }),
    ...(name === "download_storage" && { storage: "nfs-shared", url: disc, content: "iso" }),
    ...(name === "upload_storage" && {
      storage: "nfs-shared",
      file: "big-world.ts",
      filename: "big-world.iso",
      content: "iso",
    }),
    ...(name.endsWith("_snapshot") && name !== "create_snapshot" && { ...onSnapshot }),
    ...(name === "create_backup" && { storage: "nfs-shared" }),
    ...(name === "list_backups" && { guest: undefined }),
    ...(name === "restore_backup" && { volume: backup, guest: undefined, node: undefined }),
    ...(name === "delete_storage_content" && { volume: orphan, confirm: orphan }),
  };
  const args = { ...Object.fromEntries(given.map((key) => [key, plain[key]])), ...own };
  if (name === "stop_task") return { upid };
  if (name === "get_metrics") return { guest: "150", timeframe: "day" };
  if (name === "list_storage") return { storage: "local-lvm" };
  return name === "get_tasks" ? {} : args;
}

const onSnapshot = { guest: "117", name: "before", confirm: "app-17.example.net" };
const backup = "nfs-shared:backup/vzdump-qemu-106-2025_12_31-02_00_00.vma.zst";
const disc = "https://mirror.example/disc.iso";
const image = "https://mirror.example/debian.qcow2";
const orphan = "nfs-shared:iso/old.iso";

/** Twelve nodes, eight pools, tags, names of ordinary length, every fifth guest a container. */
export function bigWorld(now: number): World {
  const nodes = Array.from({ length: 12 }, (_, at) => `pve-${String(at + 1).padStart(2, "0")}`);
  const world = emptyWorld(now, nodes);
  for (let index = 0; index < 8; index++) addPool(world, `customer-${index}`);
  for (let index = 0; index < 300; index++) {
    const container = index % 5 === 4;
    const guest = addGuest(world, {
      vmid: 100 + index,
      name: `${container ? "ct" : "app"}-${index}.example.net`,
      node: nodes[index % nodes.length] ?? "",
      type: container ? "lxc" : "qemu",
      tags: "backup-daily;production;web",
      pool: `customer-${index % 8}`,
      ...(index % 11 === 0 || index === 14 ? {} : { runningSince: now - (index + 1) * 3_600_000 }),
      ...(index % 40 === 0 ? { config: { lock: "backup" } } : {}),
    });
    if (index === 17) {
      const then = { snaptime: now / 1000 - 86_400, description: "", config: { ...guest.config } };
      guest.snapshots.push({ name: "before", ...then }, { name: "after", ...then });
    }
  }
  const file = { content: "iso", format: "iso", sizeBytes: 1024 ** 3, ctime: 0 } as const;
  world.volumes.set(`/${orphan}`, { ...file, volid: orphan, node: "" });
  const images = "http://download.proxmox.com/images/system";
  const alpine = `${images}/alpine-3.22-default_20250617_amd64.tar.xz`;
  world.web.set(image, { sizeBytes: 300 * 1024 ** 2, bytes: image });
  world.web.set(alpine, { sizeBytes: 3 * 1024 ** 2, bytes: alpine });
  world.volumes.set(`/${backup}`, {
    ...file,
    volid: backup,
    node: "",
    content: "backup",
    format: "vma.zst",
    vmid: 106,
    archive: { type: "qemu", config: { ...world.guests.get(106)?.config } },
  });
  world.web.set(disc, { sizeBytes: 1024 ** 3, bytes: disc });
  addToken(world, {
    id: adminToken.tokenId,
    secret: adminToken.secret,
    roles: { "/": "Administrator" },
  });
  return world;
}
