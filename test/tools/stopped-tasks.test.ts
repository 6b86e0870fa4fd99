import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const ask = (upid: string, more: Record<string, unknown> = {}) =>
  server.call("get_tasks", { upid, ...more });
const costOf = (upid: string, more: Record<string, unknown> = {}) =>
  server.cost("get_tasks", { upid, ...more });

/** A task of somebody else's that has ended. */
async function ended(): Promise<string> {
  const upid = server.simulator.outside.start(302);
  await server.clock.advance(60_000);
  return upid;
}

describe("a task that has stopped", () => {
  test("is asked once for its state and its log, and never again", async () => {
    const upid = await ended();
    expect(await costOf(upid)).toBe(3);
    const { data } = await ask(upid);
    expect(data).toMatchObject({ task: { state: "ok" } });
    expect(data["log"]).toEqual(expect.arrayContaining(["TASK OK"]));
    await server.clock.advance(30 * 86_400_000);
    expect(await costOf(upid)).toBe(0);
    expect((await ask(upid)).data).toEqual(data);
    // Another part of its log is another question, but how long it is is known.
    expect(await costOf(upid, { log_lines: 2 })).toBe(1);
    expect(await costOf(upid, { log_lines: 2 })).toBe(0);
  });

  test("of ours, whose end was seen, costs its log once", async () => {
    const { data } = await server.call("start_guest", { guest: "staging-web-2" });
    const upid = String(data["upid"]);
    expect(await costOf(upid)).toBe(2);
    expect(await costOf(upid)).toBe(0);
  });

  test("is asked again by who wants it live", async () => {
    const upid = await ended();
    await ask(upid);
    expect(await costOf(upid, { max_age_s: 0 })).toBe(2);
  });

  test("counts against the bound of memory", async () => {
    server = await lab({ cacheBytes: 20_000 });
    const upids: string[] = [];
    for (let more = 0; more < 10; more++) {
      upids.push(await ended());
      server.simulator.outside.stop(302);
      await server.clock.advance(60_000);
      await ask(upids.at(-1) ?? "");
    }
    expect(await costOf(upids.at(-1) ?? "")).toBe(0);
    expect(await costOf(upids[0] ?? "")).toBe(2);
  });
});

describe("a task that runs", () => {
  /** One of somebody else's that takes 60 s and fails. */
  const begin = () => server.simulator.outside.shutdown(140);

  test("never has its state or log from memory, and what was read of them is not kept beyond its end", async () => {
    const upid = begin();
    await server.clock.advance(2_000);
    const early = await ask(upid, { log_lines: 500 });
    expect(early.data).toMatchObject({ task: { state: "running" } });
    expect(await costOf(upid, { log_lines: 500 })).toBe(3);
    await server.clock.advance(60_000);
    const late = await ask(upid, { log_lines: 500 });
    expect(late.data).toMatchObject({ task: { state: "failed" } });
    expect((late.data["log"] as string[]).at(-1)).toMatch(/^TASK ERROR/);
    expect(early.data["log"]).not.toEqual(late.data["log"]);
    expect(await costOf(upid, { log_lines: 500 })).toBe(0);
  });

  test("and ends between the look at its state and that at its log, is asked for both again", async () => {
    const upid = begin();
    await server.clock.advance(40_000);
    server.simulator.faults.delay(15_000, { path: /\/log$/ });
    const { data } = await ask(upid);
    expect(data).toMatchObject({ task: { state: "running" } });
    server.simulator.faults.clear();
    expect(await costOf(upid)).toBe(3);
    expect((await ask(upid)).data).toMatchObject({ task: { state: "failed" } });
  });

  test("and is seen stopped before its last line is written, is not over yet", async () => {
    const upid = await ended();
    const [node] = upid.split(":").slice(1, 2);
    const early = { data: { status: "stopped", exitstatus: "unexpected status", upid, node } };
    server.simulator.faults.reply(
      { status: 200, body: JSON.stringify(early) },
      { path: /\/tasks\/.*\/status$/ },
    );
    expect((await ask(upid)).data).toMatchObject({ task: { state: "failed" } });
    server.simulator.faults.clear();
    expect((await ask(upid)).data).toMatchObject({ task: { state: "ok" } });
  });
});
