import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { systemClock } from "../src/clock.ts";
import { changedSince, readInventory } from "../src/proxmox/cluster/inventory.ts";
import { adminToken, authorization } from "../src/simulator/demo-credentials.ts";
import { listen } from "../src/simulator/listen.ts";
import { Simulator } from "../src/simulator/simulator.ts";
import { Child } from "./child.ts";
import { crowd, vmids } from "./crowd.ts";
import type { Row } from "./report.ts";
import { selfSigned } from "./wall.ts";

/** Five thousand guests on fifty nodes: comparing two inventories, and the memory of the server as it is shipped. */
export async function big(): Promise<readonly Row[]> {
  const world = crowd(Date.now(), { guests: 5_000, nodes: 50 });
  const simulator = new Simulator({ clock: systemClock, world, logCapacity: 10 });
  return [...(await comparing(simulator)), ...(await memory(simulator))];
}

async function comparing(simulator: Simulator): Promise<readonly Row[]> {
  const { body } = await simulator.send({
    method: "GET",
    path: "/api2/json/cluster/resources",
    headers: { authorization: authorization(adminToken) },
  });
  const compare: number[] = [];
  const read: number[] = [];
  for (let round = 0; round < 20; round++) {
    const data = () => (JSON.parse(body) as { readonly data: unknown }).data;
    const [before, now] = [readInventory(data(), 0), data()];
    const began = performance.now();
    const after = readInventory(now, 1);
    read.push(performance.now() - began);
    const compared = performance.now();
    changedSince(before, after);
    compare.push(performance.now() - compared);
  }
  return [
    { what: "comparing 5,000 rows in a sweep", max: 20, measured: middle(compare), unit: "ms" },
    { what: "… and sorting them into an inventory", measured: middle(read), unit: "ms" },
  ];
}

async function memory(simulator: Simulator): Promise<readonly Row[]> {
  const row = async (what: string, vms: number): Promise<Row> => ({
    what,
    max: 150,
    measured: await peakMib(simulator, async (child) => {
      for (const vmid of vmids(vms)) await child.call("get_vm", { vm: `app-${vmid}.example.net` });
    }),
    unit: "MiB",
    note: `Node ${process.versions.node}`,
  });
  return [
    await row("peak memory of the server, 5,000 guests on 50 nodes", 300),
    await row("… after a look at each of their 4,000 VMs", 4_000),
  ];
}

/** The most memory that a server has had which has listed all guests again and again, and then done this. */
async function peakMib(
  simulator: Simulator,
  work: (child: Child) => Promise<void>,
): Promise<number> {
  const pems = await selfSigned();
  const listener = await listen(simulator, pems);
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, pems.cert);
  const child = new Child({
    script: "../src/main.js",
    args: ["--import", new URL("peak.js", import.meta.url).href],
    env: {
      PROXMOX_URL: listener.url,
      PROXMOX_CA_FILE: caFile,
      PROXMOX_TOKEN_ID: adminToken.tokenId,
      PROXMOX_TOKEN_SECRET: adminToken.secret,
    },
  });
  try {
    await child.open();
    for (let round = 0; round < 15; round++) {
      await child.call("list_guests", { max_age_s: 0, sort: "memory", limit: 100 });
      await child.call("list_guests", { name: "app-1*", pool: "customer-3" });
    }
    await child.call("get_cluster");
    await work(child);
  } finally {
    await child.close();
    await listener.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return Number(/peak rss (\d+) KiB/.exec(child.stderr)?.[1] ?? Number.NaN) / 1_024;
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
