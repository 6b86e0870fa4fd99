import { expect, test } from "vitest";
import { lab } from "../kit.ts";

const rows = "GET /cluster/resources";
const settings = { warmUp: true, settleMs: 0 };

test("the first client's arrival asks for the inventory, once", async () => {
  const { simulator, clock, proxmox, server } = await lab(settings);
  await clock.advance(0);
  expect(simulator.log.paths()).toEqual([rows]);
  expect(proxmox.requests.get("GET /cluster/resources")).toBe(1);
  await clock.advance(60_000);
  server.connected(); // another client
  await clock.advance(60_000);
  expect(simulator.log.paths()).toEqual([rows]);
});

test("nothing is asked where nobody connects, nor without the wish", async () => {
  const { simulator, clock } = await lab({ settleMs: 60_000 });
  await clock.advance(0);
  expect(simulator.log.paths()).toEqual([]);
});

test("the first lookup joins it, while it is under way and afterwards", async () => {
  const { simulator, clock, begin, call } = await lab({ ...settings, latencyMs: 400 });
  await clock.advance(100);
  expect(simulator.log.paths()).toEqual([rows]);
  const first = await clock.run(begin("get_vm", { vm: "web-1" }));
  expect(first.data).toMatchObject({ vmid: 101 });
  // The rows were asked for by nobody's call, so only the configuration is this one's.
  expect(first.meta).toMatchObject({ apiCalls: 1 });
  const config = (vmid: number) => `GET /nodes/pve${vmid % 100}/qemu/${vmid}/config`;
  expect(simulator.log.paths()).toEqual([rows, config(101)]);
  await call("get_vm", { vm: "web-2" });
  expect(simulator.log.paths()).toEqual([rows, config(101), config(102)]);
});

test("a host that is silent delays nothing that does not need it", async () => {
  const { simulator, clock, client, begin } = await lab({
    ...settings,
    wire: (simulator) => {
      simulator.faults.hang({ path: /resources$/ });
      return simulator;
    },
  });
  expect((await client.listTools()).tools.length).toBeGreaterThan(0);
  await clock.advance(0);
  expect(simulator.log.paths()).toEqual([rows]);
  const lookup = await clock.run(begin("get_vm", { vm: "web-1" }));
  // It has joined, and is told what is wrong; the next one asks for itself.
  expect(lookup.kind).toBe("timeout");
  simulator.faults.clear();
  expect((await clock.run(begin("get_vm", { vm: "web-1" }))).data).toMatchObject({ vmid: 101 });
});

test("a host that refuses fails no start, and is said to do so by the call that meets it", async () => {
  const { simulator, clock, client, logged, begin } = await lab({
    ...settings,
    wire: (simulator) => {
      simulator.faults.refuse({ path: /resources$/ });
      return simulator;
    },
  });
  await clock.advance(60_000);
  expect((await client.listTools()).tools.length).toBeGreaterThan(0);
  expect(logged.filter((line) => /warn|error/i.test(line.slice(0, 60)))).toEqual([]);
  expect((await clock.run(begin("get_vm", { vm: "web-1" }))).kind).toBe("unreachable");
  simulator.faults.clear();
  expect((await clock.run(begin("get_vm", { vm: "web-1" }))).data).toMatchObject({ vmid: 101 });
});
