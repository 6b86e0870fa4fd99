import { expect, test } from "vitest";
import { crowd, vmids } from "../../bench/crowd.ts";
import { laggingS as promisedS } from "../../bench/promised.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

interface Row {
  readonly vmid: number;
  readonly name: string;
  readonly status: string;
}

async function listed({ call }: Lab, vmid: number): Promise<Row | undefined> {
  const { data } = await call("list_guests", { limit: 200 });
  return (data["guests"] as readonly Row[]).find((row) => row.vmid === vmid);
}

/** Lets time pass until so many seconds after `from`. */
async function until({ clock }: Lab, from: number, seconds: number): Promise<void> {
  await clock.advance(Math.max(0, from + seconds * 1000 - clock.now()));
}

/** Lets others do it, and answers when it had happened. */
async function happened({ simulator, clock }: Lab, vmid: number, to: string, change: () => void) {
  change();
  while (simulator.world.guests.get(vmid)?.run.status !== to) await clock.advance(20);
  return clock.now();
}

test.each([
  ["stop what we have started", "start_guest", 302, "stopped", "stop"],
  ["see switch itself off what we have started", "start_guest", 302, "stopped", "powerOff"],
  ["start what we have stopped", "stop_guest", 101, "running", "start"],
] as const)("where others %s, the list shows it 20 s later", async (_, tool, vmid, after, verb) => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await call(tool, { guest: vmid });
  const endedAt = clock.now();
  await clock.advance(300);
  const at = await happened(server, vmid, after, () => void simulator.outside[verb](vmid));
  await until(server, endedAt, 4.7);
  await call("list_guests", { max_age_s: 0 });
  await until(server, endedAt, 14.9);
  await listed(server, vmid);
  await until(server, at, promisedS);
  expect((await listed(server, vmid))?.status).toBe(after);
});

test("where others start what our long shutdown has just stopped, the list shows it 20 s later", async () => {
  const server = await lab();
  const { call, begin, simulator, clock } = server;
  guestOf(simulator.world, 101).traits.shutdownMs = 12_600;
  await call("list_guests");
  const ours = begin("stop_guest", { guest: 101, mode: "shutdown" });
  while (simulator.world.guests.get(101)?.run.status === "running") await clock.advance(20);
  await clock.advance(700);
  const at = await happened(server, 101, "running", () => void simulator.outside.start(101));
  // Its end is noticed only now: as late as nobody asks for it.
  const noticed = (await clock.run(ours)) && clock.now() - at;
  expect(noticed).toBeGreaterThan(2_000);
  await until(server, at, noticed / 1000 + 4.8);
  await call("list_guests", { max_age_s: 0 });
  await until(server, at, noticed / 1000 + 14.9);
  await listed(server, 101);
  await until(server, at, promisedS);
  expect((await listed(server, 101))?.status).toBe("running");
});

test("get_vm does not go back to a state from before one that it has told", async () => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await call("start_guest", { guest: 302 });
  const endedAt = clock.now();
  await clock.advance(300);
  const at = await happened(server, 302, "stopped", () => void simulator.outside.stop(302));
  await until(server, endedAt, 4.7);
  await call("list_guests", { max_age_s: 0 });
  const told: unknown[] = [];
  for (const seconds of [14.3, 14.6, 15.2, 16.7, 18, 20, 24, 26]) {
    await until(server, at, seconds);
    told.push((await call("get_vm", { vm: 302 })).data["status"]);
  }
  expect(told).toEqual(told.map(() => "stopped"));
});

test("what a node has said of its guest is not taken back by rows from before", async () => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await listed(server, 101);
  simulator.outside.powerOff(101);
  const at = clock.now();
  await call("get_vm", { vm: 101, max_age_s: 0 });
  for (const seconds of [0.1, 4, 5.1, 9]) {
    await until(server, at, seconds);
    expect((await listed(server, 101))?.status).toBe("stopped");
    expect((await call("get_vm", { vm: 101 })).data["status"]).toBe("stopped");
  }
});

test("a node that does not say how its guest is makes no running one of it", async () => {
  const server = await lab();
  const { call, simulator } = server;
  const body = '{"data":{"vmid":302}}';
  simulator.faults.reply({ status: 200, body }, { path: /\/302\/status\/current$/ });
  await call("get_vm", { vm: 302, max_age_s: 0 });
  expect((await listed(server, 302))?.status).toBe("stopped");
});

test("a guest of which its node has just spoken, and which then goes off, is not listed as running for longer than promised", async () => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await call("get_vm", { vm: 101, max_age_s: 0 });
  const at = clock.now();
  simulator.outside.powerOff(101);
  await until(server, at, 4.9);
  await call("list_guests", { max_age_s: 0 });
  await until(server, at, 14.95);
  await listed(server, 101);
  await until(server, at, promisedS);
  expect((await listed(server, 101))?.status).toBe("stopped");
});

test.each([
  ["get_vm", "vm", 101],
  ["get_container", "container", 200],
] as const)(
  "a guest that %s has told and others then rename is listed, and found, by its new name 20 s later",
  async (tool, argument, vmid) => {
    const server = await lab();
    const { call, simulator, clock } = server;
    await call(tool, { [argument]: vmid });
    await clock.advance(100);
    simulator.outside.rename(vmid, "other-name");
    const at = clock.now();
    await until(server, at, 4.8);
    await call("list_guests", { max_age_s: 0 });
    await until(server, at, 14.85);
    await listed(server, vmid);
    await until(server, at, promisedS - 0.01);
    expect((await listed(server, vmid))?.name).toBe("other-name");
    expect((await call(tool, { [argument]: "other-name" })).data["vmid"]).toBe(vmid);
  },
);

test("a guest renamed, looked at and renamed back at once is listed by its name 20 s later", async () => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await listed(server, 101);
  simulator.outside.rename(101, "for-a-moment");
  expect((await call("get_vm", { vm: 101, max_age_s: 0 })).data["name"]).toBe("for-a-moment");
  await clock.advance(100);
  simulator.outside.rename(101, "web-1");
  const at = clock.now();
  await until(server, at, 4.8);
  await call("list_guests", { max_age_s: 0 });
  await until(server, at, 14.85);
  await listed(server, 101);
  await until(server, at, promisedS - 0.01);
  expect((await listed(server, 101))?.name).toBe("web-1");
});

test("a name that only a row bears has that guest's configuration read before it is called unknown", async () => {
  const server = await lab();
  const { call, simulator, clock } = server;
  await call("get_vm", { vm: 101 });
  await clock.advance(100);
  simulator.outside.rename(101, "other-name");
  await clock.advance(12_000);
  expect((await call("get_vm", { vm: "other-name" })).data["vmid"]).toBe(101);
});

test("rows that contradict a change of ours are asked again once, whoever many look", async () => {
  const server = await lab();
  const { call, begin, simulator, clock } = server;
  await call("start_guest", { guest: 302 });
  const endedAt = clock.now();
  simulator.outside.powerOff(302);
  await until(server, endedAt, 10.5);
  await call("list_guests", { max_age_s: 0 });
  await until(server, endedAt, 15.6);
  const mark = simulator.log.mark();
  await clock.run(Promise.all(Array.from({ length: 20 }, () => begin("list_guests"))));
  await call("list_guests");
  expect(simulator.log.paths(mark)).toEqual(["GET /cluster/resources"]);
});

test("a new guest of ours keeps the state that a list has told of it when get_vm has looked at it", async () => {
  const server = await lab();
  const { call } = server;
  const { data } = await call("clone_vm", { vm: 9000, name: "fresh-one" });
  const vmid = Number(data["vmid"]);
  await call("list_guests", { max_age_s: 0 });
  expect((await listed(server, vmid))?.status).toBe("stopped");
  expect((await call("get_vm", { vm: vmid })).data["status"]).toBe("stopped");
  expect((await listed(server, vmid))?.status).toBe("stopped");
});

test("forty guests that others rename after forty looks are decided together: a minute's watch costs little more", async () => {
  const world = crowd(Date.UTC(2026, 0, 1, 12), { guests: 100, nodes: 4 });
  const { call, clock, simulator } = await lab({ world });
  const vms = vmids(40);
  for (const vm of vms) {
    await call("get_vm", { vm });
    await clock.advance(250);
  }
  for (const vmid of vms) simulator.outside.rename(vmid, `new-${vmid}`);
  const renamedAt = clock.now();
  const mark = simulator.log.mark();
  for (let look = 0; look < 120; look++) {
    const { data } = await call("list_guests", { status: "running", name: "new-*", limit: 100 });
    if (clock.now() - renamedAt >= promisedS * 1_000)
      expect(Number(data["total"])).toBeGreaterThanOrEqual(30);
    await clock.advance(500);
  }
  // 14 without them.
  expect(simulator.log.since(mark).length).toBeLessThanOrEqual(18);
});
