import { expect } from "vitest";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { guestOf } from "../kit.ts";
import { type Matrix, named, newVolumes, nothingNew, type Seen } from "./scene.ts";

const iso = "local:iso/debian-13.2.0-amd64-netinst.iso";
const archive = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
const vm = { name: "new-1", disks: ["local-lvm:8"], iso };
const container = { name: "new-1", template: archive, rootfs: "local-lvm:4" };
const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const template = { name: "new-1", url, storage: "local-lvm", wait_s: 3_600 };
const unlocked = { never: "nobody can have locked a guest that is not there yet" };

function without(volid: string): (simulator: Simulator) => void {
  return ({ world }) => void world.volumes.delete(`pve1/${volid}`);
}

/** There is one more guest, of that name, with a disk. */
function made(seen: Seen): void {
  const { world, before } = seen;
  expect(world.guests.size).toBe(before.guests.size + 1);
  const vmid = named(world, "new-1")?.vmid ?? 0;
  expect(guestOf(world, vmid)).toMatchObject({ run: { status: "stopped" } });
  expect(guestOf(world, vmid).config["lock"]).toBeUndefined();
  expect(newVolumes(seen).some((key) => key.includes(`-${vmid}-disk-0`))).toBe(true);
}

export const creations: Matrix = {
  create_vm: {
    success: { args: vm, after: made },
    not_found: { args: { ...vm, iso: "local:iso/nope.iso" } },
    forbidden: { args: vm, without: ["VM.Allocate"], on: "/vms" },
    locked: unlocked,
    task_failed: { args: vm, meanwhile: without(iso), after: nothingNew },
  },
  create_container: {
    success: { args: container, after: made },
    not_found: { args: { ...container, template: "local:vztmpl/nope.tar.gz" } },
    forbidden: {
      args: container,
      without: ["Datastore.AllocateSpace"],
      on: "/storage/local-lvm",
    },
    locked: unlocked,
    task_failed: { args: container, meanwhile: without(archive), after: nothingNew },
  },
  create_template: {
    success: {
      args: template,
      after: (seen) => {
        made(seen);
        expect(named(seen.world, "new-1")?.config).toMatchObject({ template: "1" });
      },
    },
    not_found: { args: { ...template, storage: "nope" } },
    forbidden: {
      args: template,
      without: ["Sys.AccessNetwork", "Sys.Modify"],
      names: ["Sys.AccessNetwork"],
      on: "/nodes/pve1",
    },
    locked: {
      args: template,
      given: async (server) => {
        await server.call("create_template", { ...template, wait_s: 0 });
        await server.clock.advance(3_600_000);
        const { world, outside } = server.simulator;
        const { vmid = 0 } = named(world, "new-1") ?? {};
        delete guestOf(world, vmid).config["template"];
        outside.lock(vmid, "backup");
      },
    },
    task_failed: { args: { ...template, checksum: "0".repeat(64) }, after: nothingNew },
  },
};
