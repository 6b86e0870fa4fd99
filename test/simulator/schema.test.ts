import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { adminToken } from "../../src/simulator/demo-credentials.ts";
import { addToken, largeWorld } from "../../src/simulator/world-builder.ts";
import { shared } from "../shared.ts";
import { host } from "./host.ts";

const checker = shared("pve/check-requests.mjs");
const reason = "the schema checker does not lie beside the repository";

test("requests and answers hold against the published schema", async (context) => {
  if (checker === undefined) return context.skip(reason);
  const pve = host();
  const settled = (answer: ReturnType<typeof pve.post>) => pve.outcome(answer);
  for (const path of [
    "/version",
    "/nodes",
    "/nodes/pve1/status",
    "/cluster/resources",
    "/cluster/status",
    "/cluster/options",
    "/cluster/backup",
    "/cluster/replication",
    "/cluster/ha/status/current",
    "/cluster/ha/resources",
    "/cluster/nextid",
    "/pools",
    "/storage",
    "/access/permissions",
    "/nodes/pve1/storage",
    "/nodes/pve1/storage/local/status",
    "/nodes/pve1/storage/nfs-shared/content",
    "/nodes/pve1/qemu",
    "/nodes/pve1/lxc",
    "/nodes/pve1/qemu/151/config",
    "/nodes/pve1/qemu/151/pending",
    "/nodes/pve1/qemu/151/snapshot",
    "/nodes/pve1/qemu/151/snapshot/clean-install/config",
    "/nodes/pve1/qemu/151/status/current",
    "/nodes/pve1/qemu/151/agent/network-get-interfaces",
    "/nodes/pve1/qemu/151/agent/get-osinfo",
    "/nodes/pve1/lxc/200/config",
    "/nodes/pve1/lxc/200/status/current",
    "/nodes/pve1/lxc/200/interfaces",
    "/nodes/pve3/lxc/311/interfaces",
  ]) {
    expect([path, (await pve.get(path)).status]).toEqual([path, 200]);
  }
  await pve.get("/pools", { poolid: "production" });
  await pve.get("/nodes/pve1/qemu", { full: 1 });
  await settled(pve.post("/nodes/pve1/qemu/9000/clone", { newid: 500, name: "x", full: 1 }));
  await settled(pve.post("/nodes/pve2/lxc/9001/clone", { newid: 501, hostname: "y" }));
  await settled(pve.post("/nodes/pve1/qemu/500/status/start"));
  await settled(pve.post("/nodes/pve1/qemu/500/status/stop"));
  await pve.put("/nodes/pve1/qemu/500/config", { memory: 1024, net1: "virtio,bridge=vmbr0" });
  await settled(pve.put("/nodes/pve1/qemu/500/resize", { disk: "scsi0", size: "+1G" }));
  await settled(
    pve.post("/nodes/pve1/qemu/500/move_disk", { disk: "scsi0", storage: "local-lvm", delete: 1 }),
  );
  await settled(pve.post("/nodes/pve1/qemu/500/config", { delete: "net1", ciuser: "a" }));
  await settled(pve.put("/nodes/pve3/lxc/311/resize", { disk: "rootfs", size: "+1G" }));
  await settled(
    pve.post("/nodes/pve3/lxc/311/move_volume", { volume: "rootfs", storage: "nfs-shared" }),
  );
  await pve.put("/nodes/pve3/lxc/311/config", { mp0: "local-lvm:1,mp=/a", memory: 600 });
  await pve.get("/nodes/pve3/lxc/311/pending");
  await settled(pve.post("/nodes/pve1/qemu/500/template"));
  await pve.post("/nodes/pve3/lxc/311/template");
  await settled(pve.del("/nodes/pve1/qemu/500", { purge: 1 }));
  await pve.get("/nodes/pve1/tasks", { source: "all", limit: 10 });
  await pve.get("/cluster/tasks");
  await pve.get("/cluster/log", { max: 20 });
  const file = join(mkdtempSync(join(tmpdir(), "simulator-")), "requests.jsonl");
  writeFileSync(file, pve.simulator.log.toJsonLines());
  const output = execFileSync(process.execPath, [checker, "--responses", file], {
    encoding: "utf8",
  });
  expect(output).toMatch(/\b0 violations\b|no violation/i);
});

test("5,000 guests on 50 nodes are listed in one answer, with their nodes and storages", async () => {
  const now = Date.UTC(2026, 0, 1, 12);
  const world = largeWorld(now, { nodes: 50, guests: 5000 });
  const { tokenId: id, secret } = adminToken;
  addToken(world, { id, secret, roles: { "/": "Administrator" } });
  const pve = host({ world });
  expect((await pve.get("/cluster/resources")).data.length).toBe(5250);
});
