import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

/** Every changing tool, with a guest that it can be done to. */
const changing: [string, string, Record<string, unknown>][] = [
  ["start_guest", "guest", {}],
  ["stop_guest", "guest", { mode: "stop" }],
  ["delete_guest", "guest", { confirm: "sandbox" }],
];

describe("two guests of one name", () => {
  test.each(changing)(
    "%s: ambiguous with the candidates, and nothing is sent",
    async (tool, key, args) => {
      const answer = await server.call(tool, { ...args, [key]: "sandbox" });
      expect(answer.kind).toBe("ambiguous");
      expect(answer.facts["candidates"]).toEqual([
        { vmid: 310, type: "qemu", node: "pve1", name: "sandbox" },
        { vmid: 311, type: "lxc", node: "pve3", name: "sandbox" },
      ]);
      expect(answer.text).toMatch(/VM 310 \(sandbox\) on pve1.*container 311 \(sandbox\) on pve3/);
      expect(server.simulator.log.changes()).toEqual([]);
    },
  );

  test.each([310, "310", "qemu/310"])(
    "start_guest %s starts the one that is meant",
    async (guest) => {
      const answer = await server.call("start_guest", { guest });
      expect(answer.data).toMatchObject({ vmid: 310, type: "qemu", status: "running" });
      expect(server.simulator.world.guests.get(311)?.run.status).toBe("stopped");
    },
  );

  test("vm looks among VMs only, container among containers only", async () => {
    expect((await server.call("get_vm", { vm: "sandbox" })).data["vmid"]).toBe(310);
    expect((await server.call("get_container", { container: "sandbox" })).data["vmid"]).toBe(311);
    const clone = await server.call("clone_vm", { vm: "sandbox", name: "copy", dry_run: true });
    expect(clone.data["source"]).toMatchObject({ vmid: 310 });
    const other = { container: "sandbox", name: "copy", dry_run: true };
    expect((await server.call("clone_container", other)).data["source"]).toMatchObject({
      vmid: 311,
    });
  });

  test("a third VM of that name makes get_vm ambiguous too", async () => {
    server.simulator.outside.create({ vmid: 312, name: "sandbox", node: "pve2" });
    await server.clock.advance(11_000);
    const answer = await server.call("get_vm", { vm: "sandbox" });
    expect(answer.kind).toBe("ambiguous");
    expect(answer.facts["candidates"]).toHaveLength(2);
  });
});

describe("a name of digits that is another guest's vmid", () => {
  beforeEach(async () => {
    server.simulator.outside.create({ vmid: 500, name: "302", node: "pve3" });
    await server.clock.advance(11_000);
  });

  test("is ambiguous, and nothing is sent", async () => {
    const answer = await server.call("start_guest", { guest: "302" });
    expect(answer.kind).toBe("ambiguous");
    expect(answer.text).toContain("qemu/302");
    expect(answer.text).toContain("qemu/500");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test.each([
    ["qemu/302", 302],
    ["qemu/500", 500],
    ["500", 500],
    ["staging-web-2", 302],
  ])("%s is the way out", async (guest, vmid) => {
    const answer = await server.call("start_guest", { guest });
    expect(answer.data).toMatchObject({ vmid, status: "running" });
  });

  test("the way out holds when an answer has shown both", async () => {
    await server.call("list_guests", { limit: 100 });
    expect((await server.call("start_guest", { guest: "qemu/500" })).data["vmid"]).toBe(500);
  });
});

describe("the kind of a guest", () => {
  test("get_vm on a container names get_container, and the other way round", async () => {
    const vm = await server.call("get_vm", { vm: "dns-1" });
    expect(vm.kind).toBe("invalid_input");
    expect(vm.text).toContain("get_container");
    expect(vm.facts).toMatchObject({ vmid: 200, type: "lxc" });
    const container = await server.call("get_container", { container: 101 });
    expect(container.kind).toBe("invalid_input");
    expect(container.text).toContain("get_vm");
  });

  test("clone_vm of a container names clone_container and sends nothing", async () => {
    const answer = await server.call("clone_vm", { vm: "dns-1", name: "copy" });
    expect(answer.kind).toBe("invalid_input");
    expect(answer.text).toContain("clone_container");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("upper and lower case", () => {
  test("does not matter where nobody bears the exact name", async () => {
    expect((await server.call("get_vm", { vm: "WEB-1" })).data["vmid"]).toBe(101);
    expect((await server.call("start_guest", { guest: "Staging-Web-2" })).data["vmid"]).toBe(302);
  });

  test("the exact name comes first, and a third spelling is ambiguous", async () => {
    server.simulator.outside.create({ vmid: 501, name: "Web-1", node: "pve2" });
    await server.clock.advance(11_000);
    expect((await server.call("get_vm", { vm: "Web-1" })).data["vmid"]).toBe(501);
    expect((await server.call("get_vm", { vm: "web-1" })).data["vmid"]).toBe(101);
    expect((await server.call("get_vm", { vm: "WEB-1" })).kind).toBe("ambiguous");
  });

  test("a guest told by its exact name is changed by another spelling of it", async () => {
    await server.call("get_vm", { vm: "staging-web-2" });
    const answer = await server.call("start_guest", { guest: "STAGING-WEB-2" });
    expect(answer.data).toMatchObject({ vmid: 302, status: "running" });
  });
});

describe("a guest that others made a moment ago", () => {
  test("is found by its name, though its row has none yet", async () => {
    server.simulator.outside.create({ vmid: 502, name: "just-made", node: "pve2" });
    const answer = await server.call("get_vm", { vm: "just-made" });
    expect(answer.data).toMatchObject({ vmid: 502, name: "just-made" });
  });

  test("is not called unknown for good where too many are made at once: which are left is told", async () => {
    await server.call("list_guests");
    for (let made = 0; made < 12; made++) {
      server.simulator.outside.create({ vmid: 510 + made, name: `burst-${made}`, node: "pve2" });
    }
    await server.clock.advance(2_100);
    const costs: number[] = [];
    let answer = await server.call("get_vm", { vm: "burst-11" });
    expect(answer.kind).toBe("not_found");
    expect(answer.text).toMatch(/Without a name yet, and not read so far: .*ask again/);
    while (answer.kind !== "" && costs.length < 5) {
      await server.clock.advance(500);
      const mark = server.simulator.log.mark();
      answer = await server.call("get_vm", { vm: "burst-11" });
      costs.push(server.simulator.log.since(mark).length);
    }
    expect(answer.data["vmid"]).toBe(521);
    expect(Math.max(...costs)).toBeLessThanOrEqual(7);
  });

  test("costs one look at the rows in 2 s, however many unknown names are asked for", async () => {
    await server.call("list_guests");
    await server.clock.advance(3_000);
    const mark = server.simulator.log.mark();
    for (let name = 0; name < 10; name++) {
      await server.call("get_vm", { vm: `nobody-${name}` });
      await server.clock.advance(150);
    }
    const rows = server.simulator.log.paths(mark).filter((path) => path.includes("resources"));
    expect(rows).toHaveLength(1);
  });

  test("is found by who joins a look for another name whose caller goes away", async () => {
    const slow = await lab({ latencyMs: 400 });
    await slow.call("list_guests");
    await slow.clock.advance(3_000);
    slow.simulator.outside.create({ vmid: 502, name: "just-made", node: "pve2" });
    const gone = new AbortController();
    const first = slow.begin("get_vm", { vm: "nobody" }, { signal: gone.signal }).catch(String);
    await slow.clock.advance(100);
    const mark = slow.simulator.log.mark();
    const others = [
      slow.begin("get_vm", { vm: "502" }),
      slow.begin("start_guest", { guest: "502", dry_run: true }),
    ];
    await slow.clock.advance(100);
    gone.abort();
    for (const { kind, text } of await slow.clock.run(Promise.all(others)))
      expect(kind, text).toBe("");
    expect(await first).toContain("AbortError");
    const rows = slow.simulator.log.paths(mark).filter((path) => path.includes("resources"));
    expect(rows).toEqual([]);
  });
});
