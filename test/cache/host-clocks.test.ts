import { expect, test } from "vitest";
import type { Transport, WireReply } from "../../src/http/transport.ts";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

type Fields = Record<string, unknown>;
type Change = (path: string, reply: WireReply) => WireReply | Promise<WireReply>;

/** What answers say of time is changed on their way. */
function meddled(change: Change, options: LabOptions = {}): Promise<Lab> {
  const wire = (host: Transport): Transport => ({
    send: async (request) => change(request.path, await host.send(request)),
    close: () => host.close(),
  });
  return lab({ ...options, wire });
}

function stamped(reply: WireReply, at: number): WireReply {
  return { ...reply, headers: { ...reply.headers, date: new Date(at).toUTCString() } };
}

/** The rows of an answer, each with its times so much later. */
function later(reply: WireReply, secondsOf: (row: Fields) => number): WireReply {
  const { data } = JSON.parse(reply.body) as { data: Fields[] };
  const rows = data.map((row) => {
    const times = ["time", "starttime", "endtime"].filter((key) => row[key] !== undefined);
    const moved = times.map((key) => [key, Number(row[key]) + secondsOf(row)]);
    return { ...row, ...Object.fromEntries(moved) };
  });
  return { ...reply, body: JSON.stringify({ data: rows }) };
}

/** Looks at a VM and answers what it cost, by the ends of the paths. */
async function look({ simulator, call }: Lab, vm: number): Promise<readonly string[]> {
  const mark = simulator.log.mark();
  await call("get_vm", { vm });
  return simulator.log.paths(mark).map((path) => path.split("/").at(-1) ?? "");
}

/** 101 and 151 are on pve1, 121 is on pve2. */
test("a task of a node whose clock lags is news to who may read the task list only", async () => {
  const lag = (path: string, reply: WireReply) =>
    path.includes("/cluster/tasks")
      ? later(reply, ({ node }) => (node === "pve1" ? -30 : 0))
      : reply;
  const server = await meddled(lag, { token: auditorToken });
  await look(server, 101);
  await server.clock.advance(11_000);
  expect(await look(server, 101)).not.toContain("config");
  await server.clock.advance(1_000);
  server.simulator.outside.work(101, "snapshot", 0);
  await server.clock.advance(11_000);
  expect(await look(server, 101)).toContain("config");
});

test("many lines of a node whose clock lags a little do not hide that another node's were pushed out", async () => {
  const lag = (path: string, reply: WireReply) =>
    path.includes("/cluster/log") ? later(reply, ({ node }) => (node === "pve2" ? -10 : 0)) : reply;
  const server = await meddled(lag);
  const { simulator, clock } = server;
  await look(server, 101);
  await clock.advance(11_000);
  simulator.outside.setConfig(151, { description: "the newest line so far" });
  expect(await look(server, 101)).not.toContain("config");
  await clock.advance(500);
  simulator.outside.setConfig(101, { description: "pushed out" });
  for (let time = 0; time < 520; time++) {
    simulator.outside.setConfig(121, { description: `edit ${time}` });
  }
  await clock.advance(10_500);
  expect(await look(server, 101)).toContain("config");
});

test.each([-40, -3, 0, 3, 40])(
  "where the cluster's clocks are %i s before ours, a guest's state is asked of its node for 15 s after others' task, not longer",
  async (aheadS) => {
    let now = () => 0;
    const shift = (path: string, reply: WireReply) => {
      const moved = path.includes("/cluster/log") ? later(reply, () => aheadS) : reply;
      return stamped(moved, now() + aheadS * 1_000);
    };
    const server = await meddled(shift);
    now = () => server.clock.now();
    await look(server, 101);
    await server.clock.advance(11_000);
    await look(server, 101);
    // Late in its second: the log tells whole ones.
    await server.clock.advance(950);
    server.simulator.outside.work(101, "stop", 0);
    const asked: number[] = [];
    for (const [afterS, passedMs] of [
      [9.5, 9_500],
      [14.9, 5_400],
      [20.5, 5_600],
    ] as const) {
      await server.clock.advance(passedMs);
      if ((await look(server, 101)).includes("current")) asked.push(afterS);
    }
    expect(asked).toEqual([9.5, 14.9]);
  },
);

test("an answer that was long under way is as old as its question: what was edited meanwhile is read again", async () => {
  let hold = async (reply: WireReply) => reply;
  const server = await meddled((path, reply) => (/\/config/.test(path) ? hold(reply) : reply));
  const { clock, simulator, call } = server;
  hold = async (reply) => {
    hold = async (next) => next;
    await clock.sleep(20_000);
    return stamped(reply, clock.now());
  };
  const slow = server.begin("get_vm", { vm: 101 });
  await clock.advance(1_000);
  simulator.outside.setConfig(101, { cores: "7" });
  await clock.run(slow);
  expect((await call("get_vm", { vm: 101 })).data["config"]).toMatchObject({ cores: 7 });
});
