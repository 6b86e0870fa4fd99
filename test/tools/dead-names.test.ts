import { describe, expect, test } from "vitest";
import { Call } from "../../src/proxmox/api/call.ts";
import { seededRandom } from "../../src/simulator/random.ts";
import { type Lab, type LabOptions, lab } from "../kit.ts";

let server: Lab;

async function start(options: LabOptions = {}): Promise<void> {
  server = await lab(options);
}

interface Row {
  readonly vmid: number;
  readonly name?: string;
  readonly type: string;
  readonly status: string;
}

async function listed(vmid: number): Promise<Row | undefined> {
  const { data } = await server.call("list_guests", { limit: 100, max_age_s: 0 });
  return (data["guests"] as readonly Row[]).find((row) => row.vmid === vmid);
}

describe("a vmid that others have destroyed and taken again", () => {
  test.each(["get_vm", "list_guests"])(
    "as a container does not carry the dead VM's name: %s",
    async (tool) => {
      await start();
      await server.call("list_guests", { limit: 100 });
      server.simulator.outside.retake(102, { type: "lxc", name: "newcomer" });
      await server.clock.advance(500);
      expect((await listed(102))?.name).toBeUndefined();
      if (tool === "list_guests") return;
      expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
      const { data } = await server.call("get_container", { container: "newcomer" });
      expect(data).toMatchObject({ vmid: 102, name: "newcomer", type: "lxc" });
      expect((await listed(102))?.name).toBe("newcomer");
    },
  );

  test("as a VM again, after an inventory without it, neither", async () => {
    await start();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.destroy(102);
    await server.clock.advance(300);
    await server.call("list_guests", { limit: 100, max_age_s: 0 });
    server.simulator.outside.create({ vmid: 102, name: "newcomer", node: "pve2" });
    await server.clock.advance(300);
    expect((await listed(102))?.name).toBeUndefined();
    expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
    expect((await server.call("get_vm", { vm: "newcomer" })).data["vmid"]).toBe(102);
  });

  test("within one inventory's time is told by its own name as soon as its configuration was read", async () => {
    await start();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.retake(102, { name: "newcomer" });
    expect((await server.call("get_vm", { vm: 102 })).data["name"]).toBe("newcomer");
    expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
    expect((await listed(102))?.name).toBe("newcomer");
  });

  test("that was destroyed through us neither, however long ago that was", async () => {
    await start();
    await server.call("stop_guest", { guest: "web-2", mode: "stop" });
    await server.call("list_guests", { limit: 100 });
    const { kind } = await server.call("delete_guest", { guest: "web-2", confirm: "web-2" });
    expect(kind).toBe("");
    await server.clock.advance(60_000);
    server.simulator.outside.create({ vmid: 102, name: "newcomer", node: "pve2" });
    const row = await listed(102);
    expect(row).toBeDefined();
    expect(row?.name).toBeUndefined();
    expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
  });

  test("that had stood empty for minutes, in one list after the other, neither", async () => {
    await start();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.destroy(102);
    for (let look = 0; look < 6; look++) {
      await server.clock.advance(40_000);
      expect(await listed(102)).toBeUndefined();
    }
    server.simulator.outside.create({ vmid: 102, name: "newcomer", node: "pve2" });
    await server.clock.advance(300);
    const row = await listed(102);
    expect(row).toBeDefined();
    expect(row?.name).toBeUndefined();
    expect((await server.call("get_vm", { vm: "web-2" })).kind).toBe("not_found");
    expect((await server.call("get_vm", { vm: "newcomer" })).data["vmid"]).toBe(102);
  });

  test.each([
    ["VM", "qemu", "get_vm", "vm"],
    ["container", "lxc", "get_container", "container"],
  ] as const)(
    "as a %s is not told in the dead VM's state, nor with its size",
    async (_, type, tool, argument) => {
      await start();
      await server.call("list_guests", { limit: 100 });
      server.simulator.outside.destroy(102);
      await server.clock.advance(300);
      expect(await listed(102)).toBeUndefined();
      server.simulator.outside.create({ vmid: 102, type, name: "newcomer", node: "pve2" });
      for (let look = 0; look < 4; look++) {
        await server.clock.advance(1_000);
        expect(await listed(102)).toBeDefined();
        const { data } = await server.call(tool, { [argument]: look % 2 === 0 ? 102 : "newcomer" });
        expect(data["status"]).toBe("stopped");
        expect(data["usage"]).not.toMatchObject({ memory_bytes: 4 * 1024 ** 3 });
        await server.clock.advance(1_000);
      }
    },
  );

  test("is not believed later either where rows of that time are still served", async () => {
    await start();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.retake(102, { type: "lxc", name: "newcomer" });
    await server.clock.advance(500);
    await listed(102);
    await server.clock.advance(16_000);
    const { data } = await server.call("list_guests", { limit: 100, max_age_s: 60 });
    const guests = data["guests"] as readonly Row[];
    expect(guests.find((row) => row.vmid === 102)?.name).toBeUndefined();
  });

  test("is believed again after 15 s", async () => {
    await start();
    await server.call("list_guests", { limit: 100 });
    server.simulator.outside.retake(102, { type: "lxc", name: "newcomer" });
    await server.clock.advance(500);
    await listed(102);
    await server.clock.advance(15_001);
    expect((await listed(102))?.name).toBe("newcomer");
  });
});

describe("a host whose workers keep copies of their own", () => {
  /** The name that a list shows of 102, at irregular times. */
  async function look(random: () => number): Promise<string | undefined> {
    await server.clock.advance(50 + 300 * random());
    const guests = await server.proxmox.guests.list({}, new Call({ maxAgeMs: 0 }));
    return guests.find(({ row }) => row.vmid === 102)?.name;
  }

  test("goes back in time, and no name does: an older one after a newer one is no rename", async () => {
    await start({ workers: 3 });
    const random = seededRandom(1);
    for (let round = 0; round < 5; round++) {
      const name = `name-${round}`;
      server.simulator.outside.rename(102, name);
      const seen: (string | undefined)[] = [];
      for (let again = 0; again < 70; again++) seen.push(await look(random));
      const since = seen.slice(seen.indexOf(name));
      expect(new Set(since), `round ${round}`).toEqual(new Set([name]));
    }
  });

  test("and a guest is found by its newer name all the time, for its configuration only", async () => {
    await start({ workers: 3 });
    const random = seededRandom(2);
    for (let round = 0; round < 5; round++) {
      const name = `name-${round}`;
      server.simulator.outside.rename(102, name);
      while ((await look(random)) !== name) await server.clock.advance(10);
      for (let again = 0; again < round % 5; again++) await look(random);
      const mark = server.simulator.log.mark();
      const { data } = await server.call("get_vm", { vm: name });
      expect(data["vmid"]).toBe(102);
      expect(server.simulator.log.since(mark).length).toBeLessThanOrEqual(1);
      await server.clock.advance(20_000);
    }
  });

  test("a rename back is one, once the rows say so", async () => {
    await start({ workers: 3 });
    server.simulator.outside.rename(102, "one");
    await server.clock.advance(11_000);
    await look(() => 0);
    server.simulator.outside.rename(102, "web-2");
    await server.clock.advance(13_000);
    expect(await look(() => 0)).toBe("web-2");
  });
});
