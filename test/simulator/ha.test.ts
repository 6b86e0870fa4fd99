import { describe, expect, test } from "vitest";
import { nobodyToken, stagingToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

describe("an HA resource", () => {
  const path = "/cluster/ha/resources";

  test("is found by its sid and by its vmid alone", async () => {
    const pve = host();
    const { data } = await pve.get(`${path}/vm:152`);
    expect(data).toMatchObject({ sid: "vm:152", type: "vm", state: "started", max_restart: 1 });
    expect((await pve.get(`${path}/152`)).data).toEqual(data);
    expect((await pve.get(path, { type: "vm" })).data).toEqual([data]);
    expect((await pve.get(path, { type: "ct" })).data).toEqual([]);
  });

  test.each([
    ["vm:101", 500, "no such resource 'vm:101'"],
    ["101", 500, "no such resource 'vm:101'"],
    ["200", 500, "no such resource 'ct:200'"],
    ["9999", 500, "unable to add resource - VM/CT 9999 does not exist"],
    ["x", 400, "Parameter verification failed."],
  ])("%s is none: %i %s", async (sid, status, reason) => {
    expect(await host().get(`${path}/${sid}`)).toMatchObject({ status, reason });
  });

  test("needs Sys.Audit on the root", async () => {
    const { status, reason } = await host().get(`${path}/vm:152`, {}, stagingToken);
    expect([status, reason]).toEqual([403, "Permission check failed (/, Sys.Audit)"]);
  });
});

describe("the firewall rules of a guest", () => {
  const path = "/nodes/pve1/qemu/101/firewall/rules";

  test("stand in their order, each with the digest of all", async () => {
    const { data } = await host().get(path);
    expect(data.map(({ pos, action }: Record<string, unknown>) => [pos, action])).toEqual([
      [0, "ACCEPT"],
      [1, "ACCEPT"],
      [2, "DROP"],
    ]);
    expect(new Set(data.map(({ digest }: Record<string, unknown>) => digest)).size).toBe(1);
  });

  test("need VM.Audit, before anybody asks whether there is such a guest", async () => {
    const pve = host();
    const missing = "/nodes/pve1/lxc/9999/firewall/rules";
    expect((await pve.get(missing, {}, nobodyToken)).reason).toBe(
      "Permission check failed (/vms/9999, VM.Audit)",
    );
    expect((await pve.get(missing)).data).toEqual([]);
  });

  test("are read without the node of the guest", async () => {
    const pve = host();
    pve.simulator.outside.nodeDown("pve2");
    expect((await pve.get("/nodes/pve2/qemu/102/firewall/rules")).status).toBe(200);
    expect((await pve.get("/nodes/pve2/qemu/102/config")).status).toBe(595);
  });

  test("go with a clone, and with their guest", async () => {
    const pve = host();
    const cloned = pve.post("/nodes/pve1/qemu/101/clone", { newid: 501, name: "x", full: 1 });
    expect(await pve.outcome(cloned)).toBe("OK");
    const copy = "/nodes/pve1/qemu/501/firewall/rules";
    expect((await pve.get(copy)).data).toEqual((await pve.get(path)).data);
    expect(await pve.outcome(pve.del("/nodes/pve1/qemu/501"))).toBe("OK");
    expect((await pve.get(copy)).data).toEqual([]);
  });
});
