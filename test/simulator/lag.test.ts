import { describe, expect, test } from "vitest";
import { lastRound, roundMs } from "../../src/simulator/stats.ts";
import { host } from "./host.ts";

/** Moves the clock to just after a node's round, so that the next one is almost 10 s away. */
async function afterRound(pve: ReturnType<typeof host>, node: string) {
  const now = pve.clock.now();
  await pve.clock.advance(lastRound(node, now) + roundMs + 100 - now);
}

describe("the rows of /cluster/resources lag as pvestatd does", () => {
  test("a rename shows at once in config and status, in the row at the node's next round", async () => {
    const pve = host();
    await afterRound(pve, "pve1");
    await pve.put("/nodes/pve1/qemu/101/config", { name: "web-renamed" });
    expect((await pve.get("/nodes/pve1/qemu/101/config")).data.name).toBe("web-renamed");
    expect((await pve.get("/nodes/pve1/qemu/101/status/current")).data.name).toBe("web-renamed");
    expect((await pve.row(101)).name).toBe("web-1");
    await pve.clock.advance(9000);
    expect((await pve.row(101)).name).toBe("web-1");
    await pve.clock.advance(1000);
    expect((await pve.row(101)).name).toBe("web-renamed");
  });

  test("tags, lock, node and pool are live", async () => {
    const pve = host();
    await afterRound(pve, "pve1");
    await pve.put("/nodes/pve1/qemu/101/config", { tags: "prod;web;new" });
    pve.simulator.outside.lock(101, "backup");
    expect(await pve.row(101)).toMatchObject({ tags: "new;prod;web", lock: "backup" });
    pve.simulator.outside.migrate(101, "pve3");
    expect(await pve.row(101)).toMatchObject({ node: "pve3", pool: "production" });
  });

  test("start: status/current when the task has done it, the row at the next round", async () => {
    const pve = host();
    await afterRound(pve, "pve2");
    await pve.outcome(pve.post("/nodes/pve2/qemu/302/status/start"));
    const { data } = await pve.get("/nodes/pve2/qemu/302/status/current");
    expect(data).toMatchObject({ status: "running", qmpstatus: "running" });
    expect((await pve.row(302)).status).toBe("stopped");
    await pve.clock.advance(10_000);
    expect((await pve.row(302)).status).toBe("running");
  });

  test("clone: the id appears a moment after the answer, locked and nameless; the name when all is over", async () => {
    const pve = host();
    await afterRound(pve, "pve1");
    const { data: upid } = await pve.post("/nodes/pve1/qemu/9000/clone", {
      newid: 500,
      name: "fresh",
    });
    expect(await pve.row(500)).toBeUndefined();
    expect((await pve.get("/cluster/nextid", { vmid: 500 })).data).toBe("500");
    await pve.clock.advance(60);
    expect(await pve.row(500)).toEqual({
      id: "qemu/500",
      vmid: 500,
      type: "qemu",
      node: "pve1",
      status: "unknown",
      lock: "clone",
    });
    const path = "/nodes/pve1/qemu/500";
    expect((await pve.get(`${path}/config`)).data).toMatchObject({ lock: "clone" });
    expect((await pve.get(`${path}/config`)).data.name).toBeUndefined();
    expect((await pve.get(`${path}/status/current`)).data.name).toBe("VM 500");
    expect(await pve.settle(upid)).toBe("OK");
    expect((await pve.get(`${path}/config`)).data).toMatchObject({ name: "fresh" });
    expect((await pve.row(500)).name).toBeUndefined();
    await pve.clock.advance(10_000);
    expect(await pve.row(500)).toMatchObject({ name: "fresh", status: "stopped", template: 0 });
  });

  test("destroy: config has only a lock, the row stands as if nothing were, then all is gone at once", async () => {
    const pve = host();
    const { data: upid } = await pve.del("/nodes/pve1/qemu/310");
    await pve.clock.advance(100);
    const config = (await pve.get("/nodes/pve1/qemu/310/config")).data;
    expect(Object.keys(config).sort()).toEqual(["digest", "lock"]);
    expect(await pve.row(310)).toMatchObject({ name: "sandbox", status: "stopped" });
    expect(await pve.settle(upid)).toBe("OK");
    expect(await pve.row(310)).toBeUndefined();
    expect((await pve.get("/nodes/pve1/qemu/310/config")).reason).toBe(
      "Configuration file 'nodes/pve1/qemu-server/310.conf' does not exist",
    );
  });

  test("a vmid that is taken again carries the dead guest's name until the next round, even as a container", async () => {
    const pve = host();
    await afterRound(pve, "pve2");
    pve.simulator.outside.retake(302, { type: "lxc", name: "newcomer" });
    expect(await pve.row(302)).toMatchObject({ type: "lxc", name: "staging-web-2" });
    await pve.clock.advance(10_000);
    expect(await pve.row(302)).toMatchObject({ type: "lxc", name: "newcomer" });
  });

  test("a guest that was just made has no name until then", async () => {
    const pve = host();
    expect(await pve.row(160)).toMatchObject({ status: "unknown", tags: "dev" });
    expect((await pve.row(160)).name).toBeUndefined();
    await pve.clock.advance(10_000);
    expect((await pve.row(160)).name).toBe("fresh-1");
  });

  test("workers with a copy each go back in time by up to 2 s", async () => {
    const pve = host({ workers: 2 });
    await pve.row(101);
    await pve.row(101);
    await afterRound(pve, "pve1");
    await pve.clock.advance(8500);
    pve.simulator.outside.rename(101, "newer");
    await pve.row(101); // first worker: a copy from before the round
    await pve.clock.advance(2000);
    expect((await pve.row(101)).name).toBe("newer"); // second worker: a fresh copy
    expect((await pve.row(101)).name).toBe("web-1"); // first worker again: its copy of 2 s ago
  });

  test("a node that goes down is offline at once; its guests keep their last state for five minutes", async () => {
    const pve = host();
    pve.simulator.outside.nodeDown("pve3");
    expect(await pve.row(103)).toMatchObject({ status: "running", name: "web-3" });
    const nodes = (await pve.get("/nodes")).data;
    expect(nodes.find((node: { node: string }) => node.node === "pve3").status).toBe("offline");
    await pve.clock.advance(300_001);
    expect(await pve.row(103)).toMatchObject({ status: "unknown", tags: "prod;web" });
    expect((await pve.row(103)).name).toBeUndefined();
    pve.simulator.outside.nodeUp("pve3");
    await pve.clock.advance(10_000);
    expect(await pve.row(103)).toMatchObject({ status: "stopped", name: "web-3" });
  });
});
