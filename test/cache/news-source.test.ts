import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { demoWorld } from "../../src/simulator/demo.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { lab } from "../kit.ts";

describe("where news come from", () => {
  test.each([
    ["log", { "/": "Administrator" }, /cluster log/],
    ["tasks", { "/": "PVEAuditor" }, /task list/],
    ["none", { "/vms": "PVEVMUser" }, /as old as it is kept/],
  ])("is told by get_connection_status: %s", async (source, roles, words) => {
    const token = { tokenId: "watcher@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    const world = demoWorld(new VirtualClock().now());
    addToken(world, { id: token.tokenId, secret: token.secret, roles: roles as never });
    const server = await lab({ world, token });
    // Before the first sweep as after it: the privileges decide.
    for (let look = 0; look < 2; look++) {
      const { data, text } = await server.call("get_connection_status");
      expect(data["news"]).toBe(source);
      expect(text).toMatch(words);
      await server.call("get_vm", { vm: 101 });
      await server.clock.advance(11_000);
      await server.call("get_vm", { vm: 101 });
    }
  });
});
