import { expect } from "vitest";
import { guestOf } from "../kit.ts";
import { lockedBefore, lockedMeanwhile, type Matrix, same } from "./scene.ts";

const made = { guest: "web-1", name: "one" };
const there = { guest: "wiki", name: "before-upgrade", confirm: "wiki" };
const missing = { args: { ...there, name: "nope" } };

export const snapshots: Matrix = {
  create_snapshot: {
    success: {
      args: made,
      after: ({ world }) => {
        expect(guestOf(world, 101).snapshots).toMatchObject([{ name: "one" }]);
        expect(guestOf(world, 101).config).toMatchObject({ parent: "one" });
        expect(guestOf(world, 101).config["lock"]).toBeUndefined();
      },
    },
    not_found: { args: { ...made, guest: "web-99" } },
    forbidden: { args: made, without: ["VM.Snapshot"], on: "/vms/101" },
    locked: { args: { ...made, guest: "files-1" } },
    task_failed: { args: made, meanwhile: lockedMeanwhile(101), after: same(101) },
  },
  rollback_snapshot: {
    success: {
      args: there,
      given: ({ simulator }) => simulator.outside.setConfig(151, { cores: "7" }),
      after: ({ world, before }) => {
        expect(guestOf(world, 151).run.status).toBe("stopped");
        expect(guestOf(world, 151).config["cores"]).toBe("2");
        expect(guestOf(world, 151).snapshots).toEqual(guestOf(before, 151).snapshots);
      },
    },
    not_found: missing,
    forbidden: {
      args: there,
      without: ["VM.Snapshot", "VM.Snapshot.Rollback"],
      on: "/vms/151",
    },
    locked: { args: there, given: lockedBefore(151) },
    task_failed: { args: there, meanwhile: lockedMeanwhile(151), after: same(151) },
  },
  delete_snapshot: {
    success: {
      args: there,
      after: ({ world }) => {
        expect(guestOf(world, 151).snapshots.map(({ name }) => name)).toEqual(["clean-install"]);
        expect(guestOf(world, 151).config["parent"]).toBe("clean-install");
        expect(guestOf(world, 151).run.status).toBe("running");
      },
    },
    not_found: missing,
    forbidden: { args: there, without: ["VM.Snapshot"], on: "/vms/151" },
    locked: { args: there, given: lockedBefore(151) },
    task_failed: { args: there, meanwhile: lockedMeanwhile(151), after: same(151) },
  },
};
