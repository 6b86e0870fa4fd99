import { expect } from "vitest";
import { guestOf } from "../kit.ts";
import { lockedBefore, lockedMeanwhile, type Matrix, same, storage } from "./scene.ts";

const config = "VM.Config.Disk";
const grown = { guest: "web-1", disk: "scsi0", size: "32G" };
const moved = { guest: "web-1", disk: "scsi0", storage: "nfs-shared", wait_s: 600 };
const added = { guest: "web-1", size: "1G", storage: "local-lvm" };
const taken = { guest: "build-2", disk: "scsi0", confirm: "build-2" };
const template = { guest: "build-2", confirm: "build-2" };

export const disks: Matrix = {
  resize_disk: {
    success: {
      args: grown,
      after: ({ world }) => {
        expect(guestOf(world, 101).config["scsi0"]).toContain("size=32G");
        expect(world.volumes.get("pve1/local-lvm:vm-101-disk-0")?.sizeBytes).toBe(32 * 1024 ** 3);
      },
    },
    not_found: { args: { ...grown, disk: "scsi7" } },
    forbidden: { args: grown, without: [config], on: "/vms/101" },
    locked: { args: { ...grown, guest: "files-1", size: "200G" } },
    task_failed: {
      args: { ...grown, guest: "staging-web-1" },
      given: ({ simulator }) => {
        const none = { name: "a", snaptime: 0, description: "", config: {} };
        guestOf(simulator.world, 301).snapshots.push(none);
      },
      after: same(301),
    },
  },
  move_disk: {
    success: {
      args: { ...moved, delete_source: true },
      after: ({ world }) => {
        expect(guestOf(world, 101).config["scsi0"]).toMatch(/^nfs-shared:101\/vm-101-disk-0/);
        expect(world.volumes.has("pve1/local-lvm:vm-101-disk-0")).toBe(false);
      },
    },
    not_found: { args: { ...moved, storage: "nfs-shard" } },
    forbidden: { args: moved, without: [config], on: "/vms/101" },
    locked: { args: { ...moved, guest: "files-1" } },
    task_failed: {
      args: moved,
      meanwhile: ({ world }) => {
        storage(world, "nfs-shared").disabled = true;
      },
      after: same(101),
    },
  },
  attach_disk: {
    success: {
      args: added,
      after: ({ world }) => {
        expect(guestOf(world, 101).config["scsi1"]).toContain("local-lvm:vm-101-disk-1");
        expect(world.volumes.has("pve1/local-lvm:vm-101-disk-1")).toBe(true);
      },
    },
    not_found: { args: { ...added, storage: "nope" } },
    forbidden: { args: added, without: [config], on: "/vms/101" },
    locked: { args: { ...added, guest: "files-1" } },
    task_failed: {
      args: added,
      given: ({ simulator }) => {
        guestOf(simulator.world, 101).traits.hotplugFails = { scsi1: "no room" };
      },
      after: ({ answer, world }) => {
        expect(answer.facts).toMatchObject({ applied: [], pending: ["scsi1"] });
        expect(guestOf(world, 101).config["scsi1"]).toBeUndefined();
      },
    },
  },
  detach_disk: {
    success: {
      args: taken,
      after: ({ world }) => {
        expect(guestOf(world, 212).config["scsi0"]).toBeUndefined();
        expect(guestOf(world, 212).config["unused0"]).toBe("local-lvm:vm-212-disk-0");
        expect(world.volumes.has("pve3/local-lvm:vm-212-disk-0")).toBe(true);
      },
    },
    not_found: { args: { ...taken, disk: "scsi9" } },
    forbidden: { args: taken, without: [config], on: "/vms/212" },
    locked: { args: { ...taken, guest: "files-1", confirm: "files-1" } },
    task_failed: {
      args: { ...taken, guest: "web-2", confirm: "web-2" },
      given: ({ simulator }) => {
        guestOf(simulator.world, 102).traits.hotplugFails = { scsi0: "device is busy" };
      },
      after: ({ answer, world }) => {
        expect(answer.facts).toMatchObject({ applied: [], pending: ["scsi0"] });
        expect(guestOf(world, 102).config["scsi0"]).toContain("vm-102-disk-0");
      },
    },
  },
  convert_to_template: {
    success: {
      args: template,
      after: ({ world }) => {
        expect(guestOf(world, 212).config).toMatchObject({ template: "1" });
        expect(world.volumes.has("pve3/local-lvm:base-212-disk-0")).toBe(true);
      },
    },
    not_found: { args: { guest: "web-99", confirm: "web-99" } },
    forbidden: { args: template, without: ["VM.Allocate"], on: "/vms/212" },
    locked: { args: template, given: lockedBefore(212) },
    task_failed: {
      args: template,
      meanwhile: lockedMeanwhile(212),
      after: (seen) => {
        same(212)(seen);
        expect(guestOf(seen.world, 212).config["template"]).toBeUndefined();
      },
    },
  },
};
