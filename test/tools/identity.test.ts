import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

/** What somebody else does to a guest between the answer that showed it and the change. */
type Mischief = (server: Lab, vmid: number, name: string) => void;

const elsewhere = 4_711;
/** Who bears what afterwards: the id to look for in the answer, or nobody. */
const mischief: Record<
  string,
  { readonly act: Mischief; readonly heir: "vmid" | "elsewhere" | "none" }
> = {
  "given its vmid to another VM": {
    act: ({ simulator }, vmid) => simulator.outside.retake(vmid, { name: "stranger" }),
    heir: "vmid",
  },
  "given its vmid to a container": {
    act: ({ simulator }, vmid) => simulator.outside.retake(vmid, { name: "stranger", type: "lxc" }),
    heir: "vmid",
  },
  "given its vmid to one of the other kind with its name": {
    act: ({ simulator }, vmid, name) => {
      const type = simulator.world.guests.get(vmid)?.type === "lxc" ? "qemu" : "lxc";
      simulator.outside.retake(vmid, { name, type });
    },
    heir: "vmid",
  },
  "renamed it": {
    act: ({ simulator }, vmid) => simulator.outside.rename(vmid, "stranger"),
    heir: "vmid",
  },
  "destroyed it": {
    act: ({ simulator }, vmid) => simulator.outside.destroy(vmid),
    heir: "none",
  },
  "destroyed it and made another of its name elsewhere": {
    act: ({ simulator }, vmid, name) => {
      const type = simulator.world.guests.get(vmid)?.type ?? "qemu";
      simulator.outside.destroy(vmid);
      simulator.outside.create({ vmid: elsewhere, name, node: "pve2", type });
    },
    heir: "elsewhere",
  },
};

interface Change {
  readonly tool: string;
  readonly argument: string;
  readonly vmid: number;
  readonly name: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

const changes: Record<string, Change> = {
  start_guest: { tool: "start_guest", argument: "guest", vmid: 302, name: "staging-web-2" },
  "stop_guest by shutdown": { tool: "stop_guest", argument: "guest", vmid: 101, name: "web-1" },
  "stop_guest by stop": {
    tool: "stop_guest",
    argument: "guest",
    vmid: 101,
    name: "web-1",
    args: { mode: "stop" },
  },
  "stop_guest by suspend": {
    tool: "stop_guest",
    argument: "guest",
    vmid: 101,
    name: "web-1",
    args: { mode: "suspend" },
  },
  delete_guest: {
    tool: "delete_guest",
    argument: "guest",
    vmid: 212,
    name: "build-2",
    args: { confirm: "build-2" },
  },
  clone_vm: {
    tool: "clone_vm",
    argument: "vm",
    vmid: 302,
    name: "staging-web-2",
    args: { name: "copy-1" },
  },
  clone_container: {
    tool: "clone_container",
    argument: "container",
    vmid: 9001,
    name: "debian-13-ct-template",
    args: { name: "copy-1" },
  },
};

const moments = { "at once": 1, "after 11 s": 11_000, "after 60 s": 60_000 };
const ways = ["by name", "by vmid", "by type and vmid"] as const;

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

/** The guest is shown to the agent, as a list or alone, before the others act. */
async function show({ vmid }: Change) {
  await server.call("list_guests", { limit: 100 });
  const type = server.simulator.world.guests.get(vmid)?.type;
  await (type === "lxc"
    ? server.call("get_container", { container: vmid })
    : server.call("get_vm", { vm: vmid }));
}

function reference({ vmid, name }: Change, way: (typeof ways)[number]): string | number {
  if (way === "by name") return name;
  const type = server.simulator.world.guests.get(vmid)?.type ?? "qemu";
  return way === "by vmid" ? vmid : `${type}/${vmid}`;
}

const cases = Object.keys(changes).flatMap((change) =>
  Object.keys(mischief).flatMap((what) => ways.map((way) => [change, way, what] as const)),
);

describe.each(Object.entries(moments))("nothing is sent, %s,", (_, ms) => {
  test.each(cases)("by %s %s when others have %s", async (changeName, way, what) => {
    const change = changes[changeName];
    const { act, heir } = mischief[what] ?? {};
    if (!change || !act) throw new Error("no such case");
    await show(change);
    const named = reference(change, way);
    act(server, change.vmid, change.name);
    await server.clock.advance(ms);
    const call = () => server.call(change.tool, { ...change.args, [change.argument]: named });
    const answer = await call();
    expect(server.simulator.log.changes()).toEqual([]);
    expect(["identity_changed", "not_found"], answer.text).toContain(answer.kind);
    if (heir === "vmid") {
      const now = server.simulator.world.guests.get(change.vmid);
      expect(answer.kind, answer.text).toBe("identity_changed");
      expect(answer.text).toContain(now?.config["name"] ?? now?.config["hostname"]);
      expect(answer.facts["expected"]).toMatchObject({ vmid: change.vmid, name: change.name });
      expect(answer.facts["found"]).toMatchObject({ vmid: change.vmid, type: now?.type });
    }
    if (heir === "elsewhere" && ms > 10_000) {
      expect(answer.kind, answer.text).toBe("identity_changed");
      expect(answer.facts["found"]).toMatchObject({ vmid: elsewhere, name: change.name });
    }
    if (heir === "none") expect(answer.kind).toBe("not_found");
  });
});

describe("after identity_changed", () => {
  test("the call with the id that was shown works", async () => {
    const change = { tool: "start_guest", argument: "guest", vmid: 302, name: "staging-web-2" };
    await show(change);
    server.simulator.outside.retake(302, { name: "stranger" });
    const refused = await server.call("start_guest", { guest: "staging-web-2" });
    expect(refused.kind).toBe("identity_changed");
    const { vmid } = refused.facts["found"] as { vmid: number };
    const done = await server.call("start_guest", { guest: vmid });
    expect(done.data).toMatchObject({ vmid: 302, name: "stranger", status: "running" });
    expect(server.simulator.log.changes()).toHaveLength(1);
  });

  test("so does the name, once the one that bears it now was shown", async () => {
    await server.call("get_vm", { vm: "staging-web-2" });
    server.simulator.outside.destroy(302);
    server.simulator.outside.create({ vmid: elsewhere, name: "staging-web-2", node: "pve3" });
    await server.clock.advance(11_000);
    const refused = await server.call("start_guest", { guest: "staging-web-2" });
    expect(refused.kind).toBe("identity_changed");
    expect(refused.text).toContain(String(elsewhere));
    const done = await server.call("start_guest", { guest: "staging-web-2" });
    expect(done.data).toMatchObject({ vmid: elsewhere, status: "running" });
  });

  test("a question about deletion answered for a guest does not count for its successor", async () => {
    const question = await server.call("delete_guest", { guest: 212 });
    expect(question.kind).toBe("confirmation_required");
    server.simulator.outside.retake(212, { name: "other" });
    const same = await server.call("delete_guest", { guest: 212, confirm: "build-2" });
    expect(same.kind).toBe("identity_changed");
    const again = await server.call("delete_guest", { guest: 212, confirm: "build-2" });
    expect(again.kind).toBe("confirmation_required");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("what a changing tool's answer has shown counts like what a list has", async () => {
    await server.call("start_guest", { guest: "staging-web-2" });
    server.simulator.outside.retake(302, { name: "stranger" });
    await server.clock.advance(60_000);
    const mark = server.simulator.log.mark();
    const answer = await server.call("delete_guest", { guest: 302, confirm: "stranger" });
    expect(answer.kind).toBe("identity_changed");
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("a name that we have freed ourselves may be taken by another guest of ours", async () => {
    await server.call("get_vm", { vm: "build-2" });
    await server.call("delete_guest", { guest: "build-2", confirm: "build-2" });
    const made = await server.call("clone_vm", { vm: "debian-13-template", name: "build-2" });
    expect(made.kind).toBe("");
    const started = await server.call("start_guest", { guest: "build-2" });
    expect(started.data).toMatchObject({ vmid: made.data["vmid"], status: "running" });
  });
});
