import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

interface Row {
  readonly vmid: number;
  readonly count: number;
  readonly gone?: boolean;
}

async function list(args: Record<string, unknown> = {}) {
  const answer = await server.call("list_backups", args);
  return { ...answer, guests: (answer.data["guests"] ?? []) as readonly Row[] };
}

describe("list_backups", () => {
  test("shows who has none first, and asks a shared storage once", async () => {
    const mark = server.simulator.log.mark();
    const { guests, data, text } = await list({ limit: 200 });
    const paths = server.simulator.log.paths(mark).filter((path) => path.includes("/content"));
    expect(paths.sort()).toEqual([
      "GET /nodes/pve1/storage/local/content",
      "GET /nodes/pve1/storage/nfs-shared/content",
      "GET /nodes/pve2/storage/local/content",
      "GET /nodes/pve3/storage/local/content",
    ]);
    expect(guests.filter(({ count }) => count > 0).map(({ vmid }) => vmid)).toEqual([
      101, 120, 200,
    ]);
    expect(guests.slice(0, -3).every(({ count }) => count === 0)).toBe(true);
    expect(data["without"]).toBe(guests.length - 3);
    expect(guests.map(({ vmid }) => vmid)).not.toContain(9000);
    expect(guests.at(-2)).toMatchObject({
      name: "db-1",
      node: "pve1",
      count: 1,
      newest: "2025-12-31T12:00:00Z",
      age_h: 24,
      size_bytes: 48_000 * 1024 ** 2,
    });
    expect(text).toContain(`${guests.length} guests, ${guests.length - 3} of them without any`);
    expect(text).toMatch(/101 +web-1 +pve1 +2025-12-31T12:00 +1 d +1 +3 GiB/);
    expect(await server.cost("list_backups")).toBe(0);
  });

  test("older_than leaves out who has a younger one", async () => {
    const all = (await list({ limit: 200 })).guests.length;
    expect((await list({ limit: 200, older_than: "2d" })).guests.length).toBe(all - 3);
    expect((await list({ limit: 200, older_than: "12h" })).guests.length).toBe(all);
    await server.call("create_backup", { guest: "web-1", storage: "nfs-shared" });
    const old = await list({ limit: 200, older_than: "12h" });
    expect(old.guests.map(({ vmid }) => vmid)).not.toContain(101);
  });

  test("pages, and narrows by node and storage", async () => {
    const first = await list({ limit: 5 });
    const second = await list({ limit: 5, cursor: first.data["cursor"] });
    expect(first.text).toContain(`repeat with cursor "${first.data["cursor"]}"`);
    expect(second.guests[0]?.vmid).toBeGreaterThan(first.guests[4]?.vmid ?? 0);
    const { guests } = await list({ node: "pve3", limit: 200 });
    expect(guests.map(({ vmid }) => vmid)).toContain(211);
    expect(guests.map(({ vmid }) => vmid)).not.toContain(101);
    expect((await list({ storage: "local" })).data["without"]).toBe(
      (await list({ storage: "local" })).data["total"],
    );
  });

  test("with guest each of its backups", async () => {
    const { data, text } = await list({ guest: "db-1" });
    expect(data).toMatchObject({ vmid: 120, name: "db-1", type: "qemu", total: 1 });
    expect(data["backups"]).toEqual([
      {
        volid: "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst",
        at: "2025-12-31T12:00:00Z",
        size_bytes: 48_000 * 1024 ** 2,
        notes: "db-1",
        protected: true,
      },
    ]);
    expect(text).toContain("VM 120 has 1 backup");
    expect((await list({ guest: "web-2" })).text).toContain("VM 102 has no backup. Make one");
    expect((await list({ guest: "web-99" })).kind).toBe("not_found");
  });

  test("backups of a guest that is gone are shown as such, last", async () => {
    server.simulator.outside.destroy(101);
    await server.clock.advance(15_000);
    const { guests, text } = await list({ limit: 200 });
    expect(guests.at(-1)).toMatchObject({ vmid: 101, gone: true, count: 1 });
    expect(text).toContain("(guest is gone)");
  });

  test("who could not be asked is told, and a storage that was named throws", async () => {
    server.simulator.outside.nodeDown("pve3");
    await server.clock.advance(20_000);
    const { text, data } = await list({ limit: 200, max_age_s: 0 });
    expect(data["degraded"]).toMatchObject([
      { node: "pve3", reason: "offline", storages: ["local"] },
    ]);
    expect(text).toContain("not counted: what it has on local.");
    expect((await list({ storage: "nope" })).kind).toBe("not_found");
    expect((await list({ older_than: "soon" })).kind).toBe("invalid_input");
  });

  test("who may have backups on a node that is silent is unknown, not without; a shared storage tells all the same", async () => {
    const before = await list({ limit: 200 });
    server.simulator.outside.nodeDown("pve3");
    await server.clock.advance(20_000);
    const { guests, data, text } = await list({ limit: 200, max_age_s: 0 });
    // Of those elsewhere too: one may have been moved from there since its last backup.
    for (const vmid of [211, 102]) {
      const guest = guests.find((one) => one.vmid === vmid);
      expect(guest).toMatchObject({ unknown: true });
      expect(guest).not.toHaveProperty("count");
    }
    expect(guests.find((one) => one.vmid === 101)).toMatchObject({ count: 1 });
    expect(data).toMatchObject({ unknown: before.data["without"] });
    expect(data).not.toHaveProperty("without");
    expect(text).not.toContain("NONE");
    expect(text).toContain(`${data["unknown"]} of them without a backup where it could be looked`);
    const shared = await list({ storage: "nfs-shared" });
    expect(shared.data).toMatchObject({ without: before.data["without"] });
    expect(shared.data).not.toHaveProperty("unknown");
    expect(shared.data).not.toHaveProperty("degraded");
    expect((await list({ guest: "web-2" })).text).toContain("No backup of VM 102 was found where");
  });

  test("a storage that only silent nodes have is told with them; one that is inactive is no node's silence", async () => {
    const { world, outside } = server.simulator;
    const local = world.storages.get("local");
    const shared = world.storages.get("nfs-shared");
    if (!local || !shared) throw new Error("no such storage");
    world.storages.set("local", { ...local, nodes: ["pve3"] });
    shared.offline = true;
    outside.nodeDown("pve3");
    await server.clock.advance(20_000);
    expect((await list({ max_age_s: 0 })).isError).toBe(true);
    shared.offline = false;
    const { data } = await list({ max_age_s: 0 });
    expect(data["degraded"]).toMatchObject([{ node: "pve3", storages: ["local"] }]);
    expect(data).not.toHaveProperty("unavailable");
    outside.nodeUp("pve3");
    shared.offline = true;
    await server.clock.advance(20_000);
    const inactive = await list({ max_age_s: 0 });
    expect(inactive.data["unavailable"]).toMatchObject([
      { storage: "nfs-shared", kind: "conflict" },
    ]);
    expect(inactive.data).not.toHaveProperty("degraded");
    expect(inactive.data).toHaveProperty("unknown");
  });

  test("a node that is not there is not_found, with those that are", async () => {
    for (const more of [{}, { guest: "web-1" }]) {
      const { kind, text, facts } = await list({ node: "pve9", ...more });
      expect(kind).toBe("not_found");
      expect(text).toContain("Nodes: pve1, pve2, pve3.");
      expect(facts).toMatchObject({ argument: "node", nodes: ["pve1", "pve2", "pve3"] });
    }
  });

  test("a guest that is not on the node is told where it is", async () => {
    const { kind, text } = await list({ guest: "web-1", node: "pve2" });
    expect(kind).toBe("invalid_input");
    expect(text).toContain("VM 101 (web-1) is on pve1, not on pve2");
    expect((await list({ guest: "web-1", node: "pve1" })).data["total"]).toBe(1);
  });

  test("a storage that holds no backups is invalid_input, with those that do", async () => {
    for (const more of [{}, { guest: "web-1" }]) {
      const { kind, text, facts } = await list({ storage: "local-lvm", ...more });
      expect(kind).toBe("invalid_input");
      expect(text).toContain("may not hold backups, but images, rootdir. Use local or nfs-shared.");
      expect(facts).toMatchObject({ argument: "storage", storages: ["local", "nfs-shared"] });
    }
    expect(server.simulator.log.count({ path: /local-lvm/ })).toBe(0);
  });

  test("who may not see backups is not told that there are none", async () => {
    const auditor = await lab({ tools, token: auditorToken });
    const { kind, text } = await auditor.call("list_backups");
    expect(kind).toBe("forbidden");
    expect(text).toContain("VM.Backup on /vms");
    expect(text).toContain("pveum acl modify /vms");
  });
});
