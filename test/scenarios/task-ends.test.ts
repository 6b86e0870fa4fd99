import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

test("OK is a success", async () => {
  const { isError, data } = await server.call("start_guest", { guest: "staging-web-2" });
  expect(isError).toBe(false);
  expect(data).toMatchObject({ status: "running", task: { state: "ok", exitstatus: "OK" } });
});

test("WARNINGS: n is a success that says what was warned of", async () => {
  server.simulator.outside.setConfig(302, { bios: "ovmf" });
  const { isError, data, text } = await server.call("start_guest", { guest: "staging-web-2" });
  expect(isError).toBe(false);
  expect(data).toMatchObject({
    status: "running",
    task: { state: "warnings", exitstatus: "WARNINGS: 1" },
  });
  expect(text).toMatch(/Warning: .*no efidisk configured/);
});

test("an error is a failure with the end of the log", async () => {
  const failed = await server.call("stop_guest", { guest: "legacy-erp", wait_s: 120 });
  expect(failed).toMatchObject({ isError: true, kind: "task_failed", data: {} });
  expect(failed.text).toMatch(/TASK ERROR: .*timeout/);
  const { upid } = failed.facts;
  expect(failed.facts).toMatchObject({ type: "qmshutdown", log: expect.any(Array) });
  const { log } = failed.facts;
  expect(log).toContainEqual(expect.stringMatching(/^TASK ERROR/));
  const whole = await server.call("get_tasks", { upid });
  expect(whole.isError).toBe(false);
  expect(whole.data).toMatchObject({ task: { state: "failed" } });
});

test("what still runs at the deadline is running, with its UPID, and goes on", async () => {
  const { isError, data, text } = await server.call("stop_guest", { guest: "web-1", wait_s: 1 });
  expect(isError).toBe(false);
  expect(data).toMatchObject({ changed: true, task: { state: "running" } });
  expect(text).toContain(`get_tasks {upid: "${data["upid"]}"`);
  await server.clock.advance(60_000);
  expect(server.simulator.world.guests.get(101)?.run.status).toBe("stopped");
});

test("a cancelled wait looks no more within a second", async () => {
  const foreign = server.simulator.outside.shutdown(140);
  const cancel = new AbortController();
  const wait = server
    .begin("get_tasks", { upid: foreign, wait_s: 600 }, { signal: cancel.signal })
    .then(
      () => "answered",
      () => "cancelled",
    );
  await server.clock.advance(5_000);
  expect(server.simulator.log.count({ path: /qmshutdown/ })).toBeGreaterThan(2);
  cancel.abort();
  expect(await wait).toBe("cancelled");
  const mark = server.simulator.log.mark();
  await server.clock.advance(1_000);
  await server.clock.advance(30_000);
  expect(server.simulator.log.count({ path: /qmshutdown/, since: mark })).toBe(0);
});
