import { expect, test } from "vitest";
import { VirtualClock } from "../src/simulator/clock.ts";
import { toolsets } from "../tools/index.ts";
import { lab } from "./kit.ts";
import { bigWorld, plainCall } from "./registry/big-world.ts";

const tools = Object.values(toolsets).flat();
const mutating = tools.filter(({ effect }) => effect !== "read");

test.each(mutating.map((tool) => [tool.name, tool] as const))(
  "%s with dry_run sends only reads, and answers what it would send",
  async (name, tool) => {
    const server = await lab({ world: bigWorld(new VirtualClock().now()), tools });
    const args = plainCall(tool);
    const mark = server.simulator.log.mark();
    const { text, data, isError } = await server.call(name, { ...args, dry_run: true });
    expect(server.simulator.log.changes(mark)).toEqual([]);
    expect(isError, text).toBe(false);
    const plan = data["plan"] as { requests: { method: string; path: string }[] } | undefined;
    if (!plan) expect(data).toMatchObject({ changed: false });
    for (const { method, path } of plan?.requests ?? []) {
      expect(method).toMatch(/^(?:POST|PUT|DELETE)$/);
      expect(text).toContain(path);
    }
    await server.close();
  },
);

test("read-only, none of them is listed, and none is taken", async () => {
  const server = await lab({ tools, readOnly: true });
  const listed = (await server.client.listTools()).tools.map(({ name }) => name);
  const mark = server.simulator.log.mark();
  for (const { name } of mutating) {
    expect(listed).not.toContain(name);
    await expect(server.call(name, {})).rejects.toThrow(/No tool named|read-only/);
  }
  expect(server.simulator.log.since(mark)).toEqual([]);
  await server.close();
});
