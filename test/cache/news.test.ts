import { describe, expect, test } from "vitest";
import type { Transport, WireRequest } from "../../src/http/transport.ts";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, lab } from "../kit.ts";

/** Looks at these VMs, all of them, and answers the vmids of those whose configuration was asked for. */
async function read({ simulator, call }: Lab, ...vms: readonly number[]): Promise<number[]> {
  const mark = simulator.log.mark();
  for (const vm of vms) await call("get_vm", { vm });
  const configs = simulator.log.paths(mark).map((path) => /\/qemu\/(\d+)\/config$/.exec(path)?.[1]);
  return configs.filter((vmid) => vmid !== undefined).map(Number);
}

function edit({ simulator }: Lab, vmid: number, times: number): void {
  for (let time = 0; time < times; time++) {
    simulator.outside.setConfig(vmid, { description: `edit ${time}` });
  }
}

/** A host whose log has lines of nodes whose clocks lag by so many seconds. */
function lagging(host: Transport, late: ReadonlyMap<string, number>): Transport {
  const send = async (request: WireRequest) => {
    const reply = await host.send(request);
    if (!request.path.includes("/cluster/log")) return reply;
    const { data } = JSON.parse(reply.body) as { data: { node: string; time: number }[] };
    const lines = data.map((line) => ({ ...line, time: line.time - (late.get(line.node) ?? 0) }));
    return { ...reply, body: JSON.stringify({ data: lines }) };
  };
  return { send, close: () => host.close() };
}

/** 101 and 151 are on pve1, 102 and 121 on pve2, 103 on pve3. */
describe("news from the cluster's log", () => {
  test("of one VM has that one read again, and no other", async () => {
    const server = await lab();
    await read(server, 101, 102, 151);
    edit(server, 101, 1);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 151)).toEqual([101]);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 151)).toEqual([]);
  });

  test("more of a node than is answered: what is known of that node is read again, of others not", async () => {
    const server = await lab();
    for (const vmid of [121, 151]) edit(server, vmid, 1);
    await read(server, 101, 102);
    await server.clock.advance(11_000);
    await read(server, 101, 102);
    edit(server, 121, 520);
    edit(server, 151, 1);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102)).toEqual([102]);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102)).toEqual([]);
  });

  test("a line that another node's many lines have pushed out of the answer is not missed", async () => {
    const server = await lab();
    await read(server, 101, 102);
    await server.clock.advance(11_000);
    await read(server, 101, 102);
    edit(server, 101, 1);
    edit(server, 121, 520);
    await server.clock.advance(11_000);
    expect(await read(server, 101)).toEqual([101]);
  });

  test("nor is one that a few long lines have pushed out of what the host keeps", async () => {
    const server = await lab();
    await read(server, 101);
    await server.clock.advance(11_000);
    await read(server, 101);
    edit(server, 101, 1);
    const description = "long ".repeat(200);
    for (let time = 0; time < 200; time++) server.simulator.outside.setConfig(121, { description });
    await server.clock.advance(11_000);
    expect(await read(server, 101)).toEqual([101]);
  });

  test("a task whose end was among what was missed does not run for ever", async () => {
    const server = await lab();
    await read(server, 101, 140);
    await server.clock.advance(11_000);
    server.simulator.outside.work(140, "snapshot", 60_000);
    await read(server, 101, 140);
    await server.clock.advance(3_600_000);
    edit(server, 121, 1_500);
    await server.clock.advance(60_000);
    await read(server, 101, 140);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 140)).toEqual([]);
  });

  test("one that does go on is read again all the same", async () => {
    const server = await lab();
    await read(server, 101, 140);
    await server.clock.advance(11_000);
    server.simulator.outside.work(140, "snapshot", 60_000);
    await read(server, 101, 140);
    edit(server, 121, 1_500);
    for (let look = 0; look < 3; look++) {
      await server.clock.advance(11_000);
      expect(await read(server, 140)).toEqual([140]);
    }
  });

  test("of a node whose clock lags are news all the same, as their numbers count up", async () => {
    const late = new Map([["pve1", 30]]);
    const server = await lab({ wire: async (simulator) => lagging(simulator, late) });
    await read(server, 101);
    await server.clock.advance(11_000);
    await read(server, 101);
    await server.clock.advance(1_000);
    edit(server, 101, 1);
    await server.clock.advance(11_000);
    expect(await read(server, 101)).toEqual([101]);
  });

  test("the same before the first look", async () => {
    const server = await lab();
    await read(server, 101);
    edit(server, 101, 1);
    edit(server, 121, 520);
    await server.clock.advance(11_000);
    expect(await read(server, 101)).toEqual([101]);
  });

  test("many lines from long ago say nothing about what was read since", async () => {
    const server = await lab();
    edit(server, 121, 520);
    await server.clock.advance(20_000);
    await read(server, 101, 102, 121);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 121)).toEqual([]);
  });

  test("of a host that has booted, and counts from 1 again, are heard", async () => {
    const server = await lab();
    edit(server, 102, 5);
    await read(server, 102, 110);
    await server.clock.advance(11_000);
    await read(server, 102, 110);
    server.simulator.outside.nodeDown("pve2");
    server.simulator.outside.nodeUp("pve2");
    edit(server, 121, 1);
    await server.clock.advance(30_000);
    await read(server, 102, 110);
    edit(server, 102, 1);
    await server.clock.advance(11_000);
    expect(await read(server, 102, 110)).toEqual([102]);
  });

  test("of a lone host that has booted are not all there: what it wrote before is lost", async () => {
    let from: number | undefined;
    const restarted = (host: Transport): Transport => ({
      async send(request) {
        const reply = await host.send(request);
        if (from === undefined || !request.path.includes("/cluster/log")) return reply;
        const { data } = JSON.parse(reply.body) as { data: { uid: string }[] };
        const kept = data.filter(({ uid }) => Number(uid) > (from ?? 0));
        const lines = kept.map((line) => ({
          ...line,
          uid: String(Number(line.uid) - (from ?? 0)),
        }));
        return { ...reply, body: JSON.stringify({ data: lines }) };
      },
      close: () => host.close(),
    });
    const server = await lab({ wire: async (simulator) => restarted(simulator) });
    edit(server, 102, 5);
    await read(server, 102, 110);
    await server.clock.advance(20_000);
    await read(server, 102, 110);
    edit(server, 102, 1); // the sixth: lost
    from = 6;
    edit(server, 110, 1);
    await server.clock.advance(11_000);
    expect(await read(server, 102, 110)).toEqual([102, 110]);
  });

  test("a task that ended 15 s before a VM was read is old, one that ended later is not", async () => {
    const server = await lab();
    const { outside } = server.simulator;
    outside.stop(102);
    await server.clock.advance(10_000);
    outside.stop(101);
    await server.clock.advance(10_000);
    await read(server, 101, 102);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102)).toEqual([101]);
  });

  test("a task that still runs has its guest read again at every look, and once more when it has ended", async () => {
    const server = await lab();
    await read(server, 101, 140);
    server.simulator.outside.work(140, "snapshot", 60_000);
    for (let look = 0; look < 5; look++) {
      await server.clock.advance(11_000);
      expect(await read(server, 101, 140)).toEqual([140]);
    }
    await server.clock.advance(11_000);
    expect(await read(server, 101, 140)).toEqual([140]);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 140)).toEqual([]);
  });

  test("what people write into a line is not taken for news", async () => {
    const server = await lab();
    await read(server, 101, 102);
    server.simulator.outside.setConfig(102, {
      description: "starting task UPID:pve1:00000001:00000001:69566000:qmstart:101:root@pam: 101",
    });
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102)).toEqual([102]);
  });
});

describe("news from the task list", () => {
  test("of one VM has that one read again, and no other", async () => {
    const server = await lab({ token: auditorToken });
    await read(server, 101, 102, 151);
    server.simulator.outside.migrate(301, "pve2");
    server.simulator.outside.work(101, "snapshot", 0);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 151)).toEqual([101]);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 151)).toEqual([]);
  });

  test("of more than 25 tasks of a node: what is known of it is read again, of others not", async () => {
    const server = await lab({ token: auditorToken });
    await read(server, 101, 102, 103);
    await server.clock.advance(11_000);
    await read(server, 101, 102, 103);
    for (let task = 0; task < 26; task++) server.simulator.outside.work(121, "snapshot", 0);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 103)).toEqual([102]);
    await server.clock.advance(11_000);
    expect(await read(server, 101, 102, 103)).toEqual([]);
  });

  test("of up to 25 of which one is known costs no other guest its answer", async () => {
    const server = await lab({ token: auditorToken });
    for (let task = 0; task < 30; task++) server.simulator.outside.work(121, "snapshot", 0);
    await server.clock.advance(20_000);
    await read(server, 102, 121);
    await server.clock.advance(11_000);
    await read(server, 102, 121);
    for (let task = 0; task < 20; task++) server.simulator.outside.work(121, "snapshot", 0);
    await server.clock.advance(11_000);
    expect(await read(server, 102, 121)).toEqual([121]);
  });

  test("a task that still runs has its guest read again at every look, and once more when it has ended", async () => {
    const server = await lab({ token: auditorToken });
    await read(server, 101, 140);
    server.simulator.outside.work(140, "snapshot", 60_000);
    for (let look = 0; look < 6; look++) {
      await server.clock.advance(11_000);
      expect(await read(server, 101, 140)).toEqual([140]);
    }
    await server.clock.advance(11_000);
    expect(await read(server, 101, 140)).toEqual([]);
  });
});
