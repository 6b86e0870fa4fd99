import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken, nobodyToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

type Rows = readonly Readonly<Record<string, unknown>>[];

const world = () => server.simulator.world;

function storage(id: string) {
  const found = world().storages.get(id);
  if (!found) throw new Error(`no storage ${id}`);
  return found;
}

async function volumes(args: Record<string, unknown>): Promise<readonly unknown[]> {
  const { data } = await server.call("list_storage", args);
  return (data["volumes"] as Rows).map((row) => row["volid"]);
}

describe("list_storage without a storage", () => {
  test("shows a shared storage once and a local one for each node", async () => {
    const { data, text } = await server.call("list_storage");
    const rows = data["storages"] as Rows;
    expect(rows.map((row) => `${row["storage"]} ${row["node"] ?? "shared"}`)).toEqual([
      ...["local pve1", "local pve2", "local pve3"],
      ...["local-lvm pve1", "local-lvm pve2", "local-lvm pve3"],
      "nfs-shared shared",
    ]);
    expect(rows.at(-1)).toMatchObject({
      type: "nfs",
      shared: true,
      status: "available",
      size_bytes: storage("nfs-shared").totalBytes,
      content: ["backup", "images", "import", "iso", "rootdir"],
    });
    expect(rows.at(-1)?.["used_bytes"]).toBeGreaterThan(0);
    expect(text).toContain("7 storages");
  });

  test("costs nothing where the rows are in memory", async () => {
    await server.call("list_guests");
    expect(await server.cost("list_storage")).toBe(0);
    expect(await server.cost("list_storage", { content: "iso" })).toBe(0);
  });

  test.each([{}, { guest: "web-1" }, { storage: "local" }])(
    "a node that is not there is told, with those that are (%o)",
    async (args) => {
      const answer = await server.call("list_storage", { node: "pve9", ...args });
      expect(answer.kind, answer.text).toBe("not_found");
      expect(answer.text).toMatch(/no node .*"pve9"/);
      expect(answer.text).toContain("pve1, pve2, pve3");
    },
  );

  test("with guest and node shows what the guest has on that node", async () => {
    const volid = "local-lvm:vm-101-disk-7";
    const figures = { content: "images", format: "raw", sizeBytes: 1, ctime: 0 } as const;
    world().volumes.set(`pve2/${volid}`, { volid, node: "pve2", vmid: 101, ...figures });
    const { data, text } = await server.call("list_storage", { node: "pve2", guest: "web-1" });
    const rows = data["volumes"] as Rows;
    expect(rows.filter(({ node }) => node !== undefined)).toMatchObject([{ volid, node: "pve2" }]);
    expect(text).toContain("all storages of pve2: ");
    const own = await server.call("list_storage", { guest: "web-1" });
    expect(own.text).not.toContain(volid);
    expect(own.text).toContain("local-lvm:vm-101-disk-0");
  });

  test("narrows by node and by content type", async () => {
    const { data } = await server.call("list_storage", { node: "pve2", content: "iso" });
    const rows = data["storages"] as Rows;
    expect(rows.map((row) => row["storage"])).toEqual(["local", "nfs-shared"]);
    expect(rows[0]?.["node"]).toBe("pve2");
  });

  test("pages", async () => {
    const first = await server.call("list_storage", { limit: 4 });
    expect(first.data).toMatchObject({ total: 7, left: 3 });
    const second = await server.call("list_storage", { limit: 4, cursor: first.data["cursor"] });
    expect(second.data).toMatchObject({ left: 0 });
    expect((second.data["storages"] as Rows).length).toBe(3);
  });

  test("tells what does not answer", async () => {
    storage("nfs-shared").offline = true;
    server.simulator.outside.nodeDown("pve3");
    const { data } = await server.call("list_storage");
    const rows = data["storages"] as Rows;
    expect(rows.find((row) => row["storage"] === "nfs-shared")?.["status"]).toBe("unknown");
    const down = rows.filter((row) => row["node"] === "pve3");
    expect(down.map((row) => row["status"])).toEqual(["offline", "offline"]);
  });

  test("with a guest shows what it has on the storages of its node", async () => {
    await server.call("list_guests");
    const mark = server.simulator.log.mark();
    const { data, text } = await server.call("list_storage", { guest: "staging-web-1" });
    expect(data).toMatchObject({
      total: 1,
      volumes: [{ volid: "nfs-shared:301/vm-301-disk-0.qcow2", content: "images", vmid: 301 }],
    });
    expect(text).toContain("1 volume");
    expect(server.simulator.log.since(mark).length).toBe(3);
    storage("nfs-shared").offline = true;
    await server.clock.advance(1);
    const silent = await server.call("list_storage", { guest: "web-1", max_age_s: 0 });
    expect(silent.data["unavailable"]).toMatchObject([{ storage: "nfs-shared", kind: "conflict" }]);
    expect((silent.data["volumes"] as Rows)[0]?.["volid"]).toBe("local-lvm:vm-101-disk-0");
  });

  test("shows nothing to who may see nothing", async () => {
    const blind = await lab({ token: nobodyToken });
    const { data, text } = await blind.call("list_storage");
    expect(data).toMatchObject({ total: 0, storages: [] });
    expect(text).toContain("No storage");
  });
});

describe("list_storage of one storage", () => {
  test("asks a shared one once", async () => {
    await server.call("list_guests");
    const mark = server.simulator.log.mark();
    await server.call("list_storage", { storage: "nfs-shared" });
    expect(server.simulator.log.paths(mark)).toEqual([
      "GET /nodes/pve1/storage/nfs-shared/content",
    ]);
  });

  test("asks a local one on every node", async () => {
    await server.call("list_guests");
    const mark = server.simulator.log.mark();
    const { data } = await server.call("list_storage", { storage: "local-lvm" });
    expect(server.simulator.log.paths(mark).toSorted()).toEqual(
      ["pve1", "pve2", "pve3"].map((node) => `GET /nodes/${node}/storage/local-lvm/content`),
    );
    const seen = new Set((data["volumes"] as Rows).map((row) => row["node"]));
    expect([...seen].sort()).toEqual(["pve1", "pve2", "pve3"]);
    const held = [...world().volumes.values()].filter(({ volid }) =>
      volid.startsWith("local-lvm:"),
    );
    expect(data["total"]).toBe(held.length);
  });

  test("every filter is answered by one answer, for 60 s at most", async () => {
    await server.call("list_storage", { storage: "nfs-shared" });
    const args = { storage: "nfs-shared", content: "backup" };
    expect(await server.cost("list_storage", args)).toBe(0);
    expect(await server.cost("list_storage", { ...args, guest: "web-1" })).toBe(0);
    await server.clock.advance(60_001);
    const mark = server.simulator.log.mark();
    await server.call("list_storage", args);
    expect(server.simulator.log.paths(mark)).toContain(
      "GET /nodes/pve1/storage/nfs-shared/content",
    );
  });

  test("narrows by content type and guest, also one that is gone", async () => {
    const backup = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
    const args = { storage: "nfs-shared", content: "backup" };
    expect(await volumes({ ...args, guest: "web-1" })).toEqual([backup]);
    server.simulator.outside.destroy(101);
    await server.clock.advance(10_001);
    expect(await volumes({ ...args, guest: "101" })).toEqual([backup]);
    expect(await volumes({ storage: "nfs-shared", content: "iso" })).toEqual([
      "nfs-shared:iso/virtio-win-0.1.285.iso",
    ]);
  });

  test("shows protection, notes and age", async () => {
    const { data } = await server.call("list_storage", { storage: "nfs-shared", guest: "db-1" });
    expect(data["volumes"]).toEqual([
      {
        volid: "nfs-shared:backup/vzdump-qemu-120-2025_12_31-02_00_03.vma.zst",
        content: "backup",
        format: "vma.zst",
        size_bytes: 48_000 * 1024 ** 2,
        vmid: 120,
        at: "2025-12-31T12:00:00Z",
        notes: "db-1",
        protected: true,
      },
    ]);
  });

  test("pages", async () => {
    const first = await server.call("list_storage", { storage: "local-lvm", limit: 5 });
    const { total, left, cursor } = first.data as { total: number; left: number; cursor: string };
    expect(left).toBe(total - 5);
    const next = await server.call("list_storage", { storage: "local-lvm", limit: 500, cursor });
    expect((next.data["volumes"] as Rows).length).toBe(left);
  });

  test("tells which nodes could not be asked, and shows the rest", async () => {
    server.simulator.outside.nodeDown("pve2");
    await server.clock.advance(10_001);
    const path = /^\/nodes\/pve3\/storage\/local\/content$/;
    server.simulator.faults.reply({ status: 500, reason: "storage trouble" }, { path });
    const { data, text } = await server.call("list_storage", { storage: "local" });
    expect(data["total"]).toBe(2);
    expect(data["degraded"]).toMatchObject([
      { node: "pve2", reason: "offline", storages: ["local"] },
    ]);
    // A node that answers is not silent: it can't read its storage.
    expect(data["unavailable"]).toMatchObject([
      { storage: "local", node: "pve3", kind: "upstream" },
    ]);
    expect(text).toContain("Node pve2: offline; not counted: what it has on local.");
    expect(text).toContain("Not counted: local on pve3: upstream: ");
  });

  test("a shared one is asked through the next node where the first can't be reached", async () => {
    await server.call("list_guests");
    server.simulator.faults.reply(
      { status: 595, reason: "No route to host" },
      { path: /^\/nodes\/pve1\/storage/ },
    );
    const { data } = await server.call("list_storage", { storage: "nfs-shared", content: "iso" });
    expect(data["total"]).toBe(1);
  });

  test.each([
    ["a storage that is not there", { storage: "nfs-share" }, "not_found", "nfs-shared"],
    ["a node that is not there", { storage: "local", node: "pve9" }, "not_found", "pve1"],
  ])("%s is %s", async (_, args, kind, hint) => {
    const answer = await server.call("list_storage", args);
    expect(answer.kind).toBe(kind);
    expect(answer.text).toContain(hint);
  });

  test("one that is disabled, or offline, is a conflict", async () => {
    storage("nfs-shared").offline = true;
    expect((await server.call("list_storage", { storage: "nfs-shared" })).kind).toBe("conflict");
    storage("nfs-shared").disabled = true;
    await server.clock.advance(10_001);
    const answer = await server.call("list_storage", { storage: "nfs-shared" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("disabled");
  });

  test("is answered to an auditor, without what is not for its eyes", async () => {
    const auditor = await lab({ token: auditorToken });
    const { data } = await auditor.call("list_storage", {
      storage: "nfs-shared",
      content: "backup",
    });
    expect(data["total"]).toBe(0);
  });
});
