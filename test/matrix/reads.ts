import { expect } from "vitest";
import type { Lab } from "../kit.ts";
import type { Matrix, Seen } from "./scene.ts";

const unlocked = { never: "a read waits for no lock, and shows it" };
const noTask = { never: "a read starts no task" };
const idle = { locked: unlocked, task_failed: noTask };
const hidden = { never: "Proxmox does not list what one may not see: fewer rows, or not_found" };

/** A check that nothing was sent or changed. */
function untouched({ sent, world, before }: Seen): void {
  expect(sent).toEqual([]);
  expect(world).toEqual(before);
}

/** The guest was seen a moment ago, and may not be seen any more. */
async function rightsGone(server: Lab): Promise<void> {
  await server.call("list_guests");
  const { world } = server.simulator;
  const rights = [...(world.roles.get("AllButThese") ?? [])];
  world.roles.set("AllButThese", new Set(rights.filter((name) => name !== "VM.Audit")));
}

/** Reads of guests, their backups, what they use, and tasks. */
export const reads: Matrix = {
  list_guests: {
    success: {
      args: { limit: 100 },
      after: (seen) => {
        untouched(seen);
        expect(seen.answer.data["total"]).toBe(seen.world.guests.size);
      },
    },
    not_found: { never: "a filter that nothing matches answers an empty list" },
    forbidden: hidden,
    ...idle,
  },
  get_vm: {
    success: {
      args: { vm: "web-1" },
      after: (seen) => {
        untouched(seen);
        expect(seen.answer.data).toMatchObject({ vmid: 101, node: "pve1", status: "running" });
      },
    },
    not_found: { args: { vm: "web-99" } },
    forbidden: {
      args: { vm: "web-1" },
      given: rightsGone,
      without: [],
      names: ["VM.Audit"],
      on: "/vms/101",
    },
    ...idle,
  },
  get_container: {
    success: {
      args: { container: "dns-1" },
      after: (seen) => {
        untouched(seen);
        expect(seen.answer.data).toMatchObject({ vmid: 200, node: "pve1", status: "running" });
      },
    },
    not_found: { args: { container: "dns-99" } },
    forbidden: {
      args: { container: "dns-1" },
      given: rightsGone,
      without: [],
      names: ["VM.Audit"],
      on: "/vms/200",
    },
    ...idle,
  },
  list_backups: {
    success: {
      args: { guest: "web-1" },
      after: (seen) => {
        untouched(seen);
        expect(seen.answer.data["backups"]).toMatchObject([{ notes: "web-1" }]);
      },
    },
    not_found: { args: { guest: "web-99" } },
    forbidden: {
      args: {},
      without: ["VM.Backup", "Datastore.Allocate"],
      names: ["VM.Backup"],
      on: "/vms",
    },
    ...idle,
  },
  get_metrics: {
    success: { args: { guest: "web-1" }, after: untouched },
    not_found: { args: { guest: "web-99" } },
    forbidden: {
      args: { node: "pve1" },
      without: ["Sys.Audit"],
      on: "/nodes/pve1",
    },
    ...idle,
  },
  get_tasks: {
    success: {
      args: { wait_s: 60 },
      given: ({ simulator }) => ({ upid: simulator.outside.stop(101) }),
      after: ({ answer, sent }) => {
        expect(sent).toEqual([]);
        expect(answer.data).toMatchObject({ type: "qmstop", task: { state: "ok" } });
      },
    },
    not_found: { args: { guest: "web-99" } },
    forbidden: {
      args: {},
      given: async ({ simulator, clock }) => {
        const upid = simulator.outside.stop(101);
        await clock.advance(5_000);
        return { upid };
      },
      without: ["Sys.Audit"],
      on: "/nodes/pve1",
    },
    locked: unlocked,
    task_failed: {
      never: "that a task has failed is what it was asked for: state failed, no error",
    },
  },
  stop_task: {
    success: {
      args: {},
      given: ({ simulator }) => ({ upid: simulator.outside.shutdown(140) }),
      after: ({ answer, world, before }) => {
        expect(answer.data).toMatchObject({ changed: true, task: { state: "failed" } });
        expect(world.guests.get(140)).toEqual(before.guests.get(140));
      },
    },
    not_found: { args: { upid: "UPID:pve1:0000FFFF:00000001:69560000:qmstop:101:root@pam:" } },
    forbidden: {
      args: {},
      given: ({ simulator }) => ({ upid: simulator.outside.shutdown(140) }),
      without: ["Sys.Modify"],
      on: "/nodes/pve3",
    },
    locked: { never: "Proxmox ends a task whatever is locked; its lock may stay behind" },
    task_failed: { never: "the task that was to end ends as failed: that is the success" },
  },
};
