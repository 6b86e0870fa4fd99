import { describe, expect, test } from "vitest";
import { nobodyToken, stagingToken } from "../../src/simulator/demo-credentials.ts";
import { lab } from "../kit.ts";

describe("two connections", () => {
  test("to clusters with equal vmids and names: a change through one costs the other no answer", async () => {
    const [one, two] = [await lab(), await lab()];
    for (const server of [one, two]) await server.call("get_vm", { vm: "staging-web-2" });
    await one.call("start_guest", { guest: "staging-web-2" });
    expect((await one.call("get_vm", { vm: "staging-web-2" })).data["status"]).toBe("running");
    expect(await two.cost("get_vm", { vm: "staging-web-2" })).toBe(0);
    expect((await two.call("get_vm", { vm: "staging-web-2" })).data["status"]).toBe("stopped");
    expect(two.simulator.log.changes()).toEqual([]);
  });

  test("to one cluster with different credentials share no answer: each sees what it may", async () => {
    const admin = await lab();
    const wire = () => admin.simulator;
    const [staging, nobody] = [
      await lab({ wire, token: stagingToken }),
      await lab({ wire, token: nobodyToken }),
    ];
    await admin.call("list_guests", { limit: 100 });
    await admin.call("get_vm", { vm: "web-1" });
    expect((await staging.call("list_guests", { limit: 100 })).data["total"]).toBe(6);
    expect((await nobody.call("list_guests")).data["total"]).toBe(0);
    for (const server of [staging, nobody]) {
      expect((await server.call("get_vm", { vm: "web-1" })).kind).toBe("not_found");
    }
    expect(await admin.cost("get_vm", { vm: "web-1" })).toBe(0);
  });
});
