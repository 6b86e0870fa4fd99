import { expect } from "vitest";
import type { Matrix, Seen } from "./scene.ts";

const unlocked = { never: "a read waits for no lock" };
const noTask = { never: "a read starts no task" };
const idle = { locked: unlocked, task_failed: noTask };
const nothingToName = { never: "it takes nothing that could be missing" };

function shows(data: Readonly<Record<string, unknown>>): (seen: Seen) => void {
  return ({ answer, sent, world, before }) => {
    expect(answer.data).toMatchObject(data);
    expect(sent).toEqual([]);
    expect(world).toEqual(before);
  };
}

/** Reads of the cluster, its nodes and storages. */
export const readsOfNodes: Matrix = {
  get_cluster: {
    success: { args: {}, after: shows({ name: "lab", quorate: true }) },
    not_found: nothingToName,
    forbidden: { never: "what one may not see is left out" },
    ...idle,
  },
  get_node: {
    success: { args: { node: "pve1" }, after: shows({ node: "pve1", status: "online" }) },
    not_found: { args: { node: "pve9" } },
    forbidden: {
      args: { node: "pve1" },
      without: ["Sys.Audit"],
      on: "/nodes/pve1",
    },
    ...idle,
  },
  list_storage: {
    success: {
      args: { storage: "nfs-shared", content: "iso" },
      after: shows({ total: 1, volumes: [{ volid: "nfs-shared:iso/virtio-win-0.1.285.iso" }] }),
    },
    not_found: { args: { storage: "nope" } },
    forbidden: {
      args: { storage: "nfs-shared" },
      without: ["Datastore.Audit"],
      on: "/storage/nfs-shared",
    },
    ...idle,
  },
  list_certificates: {
    success: {
      args: { node: "pve1" },
      after: shows({
        total: 2,
        certificates: [{ node: "pve1", use: "own" }, { use: "authority" }],
      }),
    },
    not_found: { args: { node: "pve9" } },
    forbidden: { never: "Proxmox shows the certificates of its nodes to every user" },
    ...idle,
  },
  get_connection_status: {
    success: { args: {}, after: shows({ host: "simulator" }) },
    not_found: nothingToName,
    forbidden: { never: "it tells what one may not do, and needs no right itself" },
    ...idle,
  },
};
