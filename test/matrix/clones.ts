import { expect } from "vitest";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { guestOf } from "../kit.ts";
import {
  lockedBefore,
  type Matrix,
  named,
  newVolumes,
  nothingNew,
  type Seen,
  same,
  storage,
} from "./scene.ts";

const container = { container: "lxc/311", name: "copy" };

function disableNfs({ world }: Simulator): void {
  storage(world, "nfs-shared").disabled = true;
}

/** A copy that has a disk of its own; the source is what it was. */
function cloned(source: number, at: string): (seen: Seen) => void {
  return (seen) => {
    const copy = named(seen.world, "copy");
    expect(copy?.config["lock"]).toBeUndefined();
    expect(newVolumes(seen).some((key) => key.includes(`${at}`))).toBe(true);
    expect(copy?.vmid).not.toBe(source);
    same(source)(seen);
  };
}

function none(source: number): (seen: Seen) => void {
  return (seen) => {
    nothingNew(seen);
    same(source)(seen);
    expect(guestOf(seen.world, source).config["lock"]).toBeUndefined();
  };
}

export const clones: Matrix = {
  clone_vm: {
    success: {
      args: { vm: "debian-13-template", name: "copy" },
      after: cloned(9000, "nfs-shared:"),
    },
    not_found: { args: { vm: "debian-99", name: "copy" } },
    forbidden: {
      args: { vm: "debian-13-template", name: "copy" },
      without: ["VM.Clone"],
      on: "/vms/9000",
    },
    locked: { args: { vm: "debian-13-template", name: "copy" }, given: lockedBefore(9000) },
    task_failed: {
      args: { vm: "staging-web-2", name: "copy", full: true, storage: "nfs-shared", wait_s: 600 },
      meanwhile: disableNfs,
      after: none(302),
    },
  },
  clone_container: {
    success: {
      args: { container: "debian-13-ct-template", name: "copy" },
      after: cloned(9001, "local-lvm:"),
    },
    not_found: { args: { container: "debian-99", name: "copy" } },
    forbidden: {
      args: { container: "debian-13-ct-template", name: "copy" },
      without: ["VM.Clone"],
      on: "/vms/9001",
    },
    locked: { args: container, given: lockedBefore(311) },
    task_failed: {
      args: { ...container, full: true, storage: "nfs-shared", wait_s: 600 },
      meanwhile: disableNfs,
      after: none(311),
    },
  },
};
