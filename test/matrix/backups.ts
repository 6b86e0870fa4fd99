import { expect } from "vitest";
import { guestOf } from "../kit.ts";
import {
  lockedBefore,
  lockedMeanwhile,
  type Matrix,
  named,
  newVolumes,
  nothingNew,
  same,
  storage,
} from "./scene.ts";

const made = { guest: "web-1", storage: "nfs-shared", wait_s: 120 };
const volume = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";

export const backups: Matrix = {
  create_backup: {
    success: {
      args: made,
      after: (seen) => {
        expect(newVolumes(seen)).toEqual([`/${seen.answer.data["volid"]}`]);
        same(101)(seen);
      },
    },
    not_found: { args: { ...made, guest: "web-99" } },
    forbidden: { args: made, without: ["Datastore.AllocateSpace"], on: "/storage/nfs-shared" },
    locked: { args: { ...made, guest: "files-1" } },
    task_failed: {
      args: made,
      meanwhile: lockedMeanwhile(101),
      after: (seen) => {
        expect(seen.answer.text).toContain("VM is locked (backup)");
        nothingNew(seen);
        same(101)(seen);
      },
    },
  },
  restore_backup: {
    success: {
      args: { volume, wait_s: 600 },
      after: (seen) => {
        const restored = named(seen.world, "web-1-restored");
        expect(restored).toMatchObject({ run: { status: "stopped" } });
        expect(restored?.config["net0"]).not.toBe(guestOf(seen.world, 101).config["net0"]);
        expect(newVolumes(seen)).toHaveLength(1);
        same(101)(seen);
      },
    },
    not_found: { args: { volume: volume.replace("10_41", "10_42") } },
    forbidden: {
      args: { volume },
      without: ["VM.Allocate"],
      on: "/vms",
    },
    locked: {
      args: { volume, guest: "web-1", confirm: "web-1" },
      given: ({ simulator, ...server }) => {
        simulator.outside.powerOff(101);
        lockedBefore(101)({ simulator, ...server });
      },
    },
    task_failed: {
      args: { volume },
      meanwhile: ({ world }) => {
        storage(world, "local-lvm").disabled = true;
      },
      // PVE cleans nothing up: the VM stays, without its disks, and the answer says so.
      after: ({ answer, world, before }) => {
        const left = [...world.guests.keys()].filter((vmid) => !before.guests.has(vmid));
        expect(left).toHaveLength(1);
        expect(answer.text).toContain(`delete_guest {guest: "${left[0]}"}`);
      },
    },
  },
};
