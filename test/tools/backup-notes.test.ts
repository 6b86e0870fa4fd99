import { beforeEach, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

function create(notes: string, args: Record<string, unknown> = {}) {
  const order = { guest: "web-1", storage: "nfs-shared", wait_s: 600, notes, ...args };
  return server.act("create_backup", order);
}

test.each([
  ["{{foo}}", "{{foo}}"],
  ["of {{guestname}} for {{customer}}", "{{customer}}"],
  ["{{guestname}}{{vmid}}{{Node}}", "{{Node}}"],
])("notes with a variable that there is not are refused: %s", async (notes, named) => {
  for (const args of [{}, { dry_run: true }]) {
    const { kind, text, facts, sent } = await create(notes, args);
    expect(kind).toBe("invalid_input");
    expect(text).toContain(`knows no variable ${named}`);
    expect(text).toContain("{{guestname}}, {{vmid}}, {{node}}, {{cluster}}");
    expect(facts["argument"]).toBe("notes");
    expect(sent).toEqual([]);
  }
});

test("every variable that there is stands in the notes as its value", async () => {
  const { data } = await create("{{guestname}} {{vmid}} {{node}} {{cluster}} {{ as it is }}");
  const made = server.simulator.world.volumes.get(`/${data["volid"]}`);
  const { clusterName } = server.simulator.world;
  expect(made?.notes).toBe(`web-1 101 pve1 ${clusterName} {{ as it is }}`);
});

test("notes that are too long as Proxmox counts them are refused", async () => {
  const { kind, text, sent } = await create("a\n".repeat(400));
  expect(kind).toBe("invalid_input");
  expect(text).toContain("1200 characters");
  expect(sent).toEqual([]);
  expect((await create("a\n".repeat(341))).isError).toBe(false);
});
