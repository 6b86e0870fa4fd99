import { expect } from "vitest";
import type { Lab } from "../kit.ts";
import { type Matrix, newVolumes, nothingNew, type Seen, storage } from "./scene.ts";

const unlocked = {
  never: "what lies on a storage has no lock in Proxmox; a disk in use is a conflict",
};
const url = "https://releases.ubuntu.com/24.04/ubuntu-24.04.3-live-server-amd64.iso";
const fetched = { storage: "nfs-shared", url, content: "iso", wait_s: 3_600 };
const uploaded = { storage: "nfs-shared", file: "scene.ts", filename: "tiny.iso", content: "iso" };
const volume = "nfs-shared:iso/virtio-win-0.1.285.iso";
const deleted = { volume, confirm: volume };
const template = { without: ["Datastore.AllocateTemplate"], on: "/storage/nfs-shared" };

function full({ simulator }: Lab): void {
  const { storages } = simulator.world;
  storages.set("nfs-shared", { ...storage(simulator.world, "nfs-shared"), totalBytes: 10 });
}

const onlyNew = (volid: string) => (seen: Seen) => expect(newVolumes(seen)).toEqual([`/${volid}`]);

export const storages: Matrix = {
  download_storage: {
    success: {
      args: fetched,
      after: onlyNew("nfs-shared:iso/ubuntu-24.04.3-live-server-amd64.iso"),
    },
    not_found: { args: { ...fetched, storage: "nope" } },
    forbidden: { args: fetched, ...template },
    locked: unlocked,
    task_failed: { args: { ...fetched, checksum: "0".repeat(64) }, after: nothingNew },
  },
  upload_storage: {
    success: { args: uploaded, after: onlyNew("nfs-shared:iso/tiny.iso") },
    not_found: { args: { ...uploaded, storage: "nope" } },
    forbidden: { args: uploaded, ...template },
    locked: unlocked,
    task_failed: { args: uploaded, given: full, after: nothingNew },
  },
  delete_storage_content: {
    success: {
      args: deleted,
      after: ({ world, before }) => {
        const gone = [...before.volumes.keys()].filter((key) => !world.volumes.has(key));
        expect(gone).toEqual([`/${volume}`]);
      },
    },
    not_found: { args: { volume: "nfs-shared:iso/nope.iso", confirm: "nfs-shared:iso/nope.iso" } },
    forbidden: { args: deleted, without: ["Datastore.Allocate"], on: "/storage/nfs-shared" },
    locked: unlocked,
    task_failed: {
      args: deleted,
      meanwhile: ({ world }) => {
        storage(world, "nfs-shared").offline = true;
      },
      after: ({ answer, world, before }) => {
        expect(answer.text).toContain("storage 'nfs-shared' is not online");
        expect(world.volumes).toEqual(before.volumes);
      },
    },
  },
};
