import { expect } from "vitest";
import { guestOf } from "../kit.ts";
import { lockedBefore, lockedMeanwhile, type Matrix, same } from "./scene.ts";

const missing = { args: { guest: "web-99" } };

/** Switching, changing, moving and destroying guests. */
export const guests: Matrix = {
  start_guest: {
    success: {
      args: { guest: "staging-web-2" },
      after: ({ world }) => expect(guestOf(world, 302).run.status).toBe("running"),
    },
    not_found: missing,
    forbidden: {
      args: { guest: "staging-web-2" },
      without: ["VM.PowerMgmt"],
      on: "/vms/302",
    },
    locked: { args: { guest: "staging-web-2" }, given: lockedBefore(302) },
    task_failed: {
      args: { guest: "staging-web-2" },
      given: ({ simulator }) => void simulator.world.bridges.delete("vmbr0"),
      after: (seen) => {
        expect(seen.answer.text).toContain("bridge 'vmbr0' does not exist");
        same(302)(seen);
      },
    },
  },
  stop_guest: {
    success: {
      args: { guest: "web-1" },
      after: ({ world }) => expect(guestOf(world, 101).run.status).toBe("stopped"),
    },
    not_found: missing,
    forbidden: {
      args: { guest: "web-1" },
      without: ["VM.PowerMgmt"],
      on: "/vms/101",
    },
    locked: { args: { guest: "files-1" } },
    task_failed: { args: { guest: "legacy-erp", wait_s: 120 }, after: same(140) },
  },
  restart_guest: {
    success: {
      args: { guest: "web-1", wait_s: 120 },
      after: ({ world, before }) => {
        expect(guestOf(world, 101).run.status).toBe("running");
        expect(guestOf(world, 101).run.since).toBeGreaterThan(guestOf(before, 101).run.since);
      },
    },
    not_found: missing,
    forbidden: {
      args: { guest: "web-1" },
      without: ["VM.PowerMgmt"],
      on: "/vms/101",
    },
    locked: { args: { guest: "files-1" } },
    task_failed: { args: { guest: "legacy-erp", wait_s: 240 }, after: same(140) },
  },
  update_guest: {
    success: {
      args: { guest: "web-1", set: { cores: 4, onboot: 1 } },
      after: ({ world }) => expect(guestOf(world, 101).config).toMatchObject({ onboot: "1" }),
    },
    not_found: { args: { guest: "web-99", set: { cores: 4 } } },
    forbidden: {
      args: { guest: "web-1", set: { memory: 1024 } },
      without: ["VM.Config.Memory"],
      on: "/vms/101",
    },
    locked: { args: { guest: "files-1", set: { cores: 4 } } },
    task_failed: {
      args: { guest: "web-1", set: { net1: "bridge=vmbr1", onboot: 1 } },
      given: ({ simulator }) => {
        guestOf(simulator.world, 101).traits.hotplugFails = { net1: "bus full" };
      },
      after: ({ answer, world }) => {
        expect(answer.facts).toMatchObject({ failed: { net1: "bus full" }, applied: ["onboot"] });
        expect(guestOf(world, 101).config["net1"]).toBeUndefined();
        expect(guestOf(world, 101).pending["net1"]).toContain("vmbr1");
      },
    },
  },
  delete_guest: {
    success: {
      args: { guest: "build-2", confirm: "build-2" },
      after: ({ world }) => {
        expect(world.guests.has(212)).toBe(false);
        expect([...world.volumes.values()].filter(({ vmid }) => vmid === 212)).toEqual([]);
      },
    },
    not_found: { args: { guest: "web-99", confirm: "web-99" } },
    forbidden: {
      args: { guest: "build-2", confirm: "build-2" },
      without: ["VM.Allocate"],
      on: "/vms/212",
    },
    locked: { args: { guest: "build-2", confirm: "build-2" }, given: lockedBefore(212) },
    task_failed: {
      args: { guest: "build-2", confirm: "build-2" },
      meanwhile: lockedMeanwhile(212),
      after: same(212),
    },
  },
  migrate_guest: {
    success: {
      args: { guest: "web-1", target: "pve2", wait_s: 600 },
      after: ({ world }) => {
        expect(guestOf(world, 101)).toMatchObject({ node: "pve2", run: { status: "running" } });
        expect(world.volumes.has("pve2/local-lvm:vm-101-disk-0")).toBe(true);
        expect(world.volumes.has("pve1/local-lvm:vm-101-disk-0")).toBe(false);
      },
    },
    not_found: { args: { guest: "web-99", target: "pve2" } },
    forbidden: {
      args: { guest: "web-1", target: "pve2" },
      without: ["VM.Migrate"],
      on: "/vms/101",
    },
    locked: { args: { guest: "files-1", target: "pve1" } },
    task_failed: {
      args: { guest: "web-1", target: "pve3", wait_s: 600 },
      meanwhile: ({ outside }) => outside.nodeDown("pve3"),
      after: same(101),
    },
  },
};
