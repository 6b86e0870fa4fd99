import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { filesBelow } from "../../src/files.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { type Lab, openLab, tools } from "../kit.ts";
import { bigWorld, plainCall } from "../registry/big-world.ts";

const files = filesBelow(fileURLToPath(new URL("../registry", import.meta.url)));
const changing = tools.filter(({ effect }) => effect !== "read");
const cases = changing.map((tool) => ({ name: tool.name, tool }));

/** Where the plain call finds all as it wants it, and so would send nothing anyhow. */
const unlike: Readonly<Record<string, Record<string, unknown>>> = {
  start_guest: { guest: "111" },
  delete_certificate: { node: "pve-05" },
};

interface Planned {
  readonly says: string;
  readonly requests: readonly { method: string; path: string; params: unknown }[];
}

describe("with dry_run", () => {
  let server: Lab;
  let upid: string;

  beforeAll(async () => {
    server = await openLab({ world: bigWorld(new VirtualClock().now()), tools, files });
    const named = tools.find(({ name }) => name === "create_certificate");
    if (named) await server.call(named.name, { ...plainCall(named), node: "pve-05" });
    const slow = { vm: "103", name: "slow-1", full: true, wait_s: 0 };
    upid = String((await server.call("clone_vm", slow)).data["upid"]);
  });

  afterAll(() => server.close());

  // A tool without a plain call answers invalid_input here: plainCall is where it gets one.
  test.each(cases)("$name sends nothing and says what it would send", async ({ name, tool }) => {
    const { confirm: _, ...args } = { ...plainCall(tool, upid), ...unlike[name] };
    const mark = server.simulator.log.mark();
    const answer = await server.call(name, { ...args, dry_run: true });
    expect(answer.isError, answer.text).toBe(false);
    expect(server.simulator.log.changes(mark).map(({ method, path }) => [method, path])).toEqual(
      [],
    );
    const plan = answer.data["plan"] as Planned | undefined;
    expect(plan, answer.text).toBeDefined();
    expect(plan?.requests.length).toBeGreaterThan(0);
    for (const { method, path, params } of plan?.requests ?? []) {
      expect(method).toMatch(/^(?:POST|PUT|DELETE)$/);
      expect(path).toMatch(/^\/(?:nodes|cluster|storage|pools|access)\//);
      expect(params).toBeTypeOf("object");
      expect(answer.text).toContain(`${method} ${path}`);
    }
    expect(answer.data["changed"] ?? false).toBe(false);
    expect(answer.text).toMatch(/^Nothing was sent/);
  });
});

describe("read-only", () => {
  let server: Lab;
  let listed: readonly string[];

  beforeAll(async () => {
    server = await openLab({ tools, files, readOnly: true });
    const { tools: shown } = await server.client.listTools();
    expect(shown.filter(({ annotations }) => !annotations?.readOnlyHint)).toEqual([]);
    listed = shown.map(({ name }) => name);
  });

  afterAll(() => server.close());

  test("every tool that only reads is offered", () => {
    const reading = tools.filter(({ effect }) => effect === "read").map(({ name }) => name);
    expect(listed).toEqual(expect.arrayContaining(reading));
  });

  // One that is offered all the same may do nothing but read then, as its annotation says.
  test.each(cases)(
    "$name is not offered, and refused when it is called",
    async ({ name, tool }) => {
      if (listed.includes(name)) return;
      const { confirm: _, ...args } = plainCall(tool);
      await expect(server.call(name, args)).rejects.toThrow("runs read-only");
      expect(server.simulator.log.changes()).toEqual([]);
    },
  );
});

test.each(["--readonly", "--read-only=yes", "--mode"])("%s stops the start", (flag) => {
  const start = () => readConfig({ env: {}, argv: ["--demo", flag], readFile: () => "" });
  expect(start).toThrow(/There is no flag|takes no value/);
});
