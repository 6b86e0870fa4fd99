import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../src/simulator/world.ts";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const notes = "before upgrading to the new release: ask Ümit about ticket 4711 and all the rest";

function put(volid: string, content: Volume["content"], more: Partial<Volume> = {}) {
  const figures = { format: "raw", sizeBytes: 3_221_225_472, ctime: 1_767_000_000 };
  server.simulator.world.volumes.set(`/${volid}`, {
    volid,
    node: "",
    content,
    ...figures,
    ...more,
  });
}

/** Thirty of each: images with names of 240 characters, backups with notes. */
function fill() {
  for (let number = 10; number < 40; number++) {
    put(`nfs-shared:iso/${number}${"some-long_name.".repeat(16)}.iso`, "iso");
    const backup = `vzdump-qemu-${number + 300}-2025_12_30-02_${number}_41.vma.zst`;
    put(`nfs-shared:backup/${backup}`, "backup", { vmid: number + 300, notes });
    const own = `vzdump-qemu-101-2025_11_${number}-02_10_41.vma.zst`;
    put(`nfs-shared:backup/${own}`, "backup", { vmid: 101, notes });
  }
}

/** All pages, one after the other. */
async function pages(tool: string, args: Record<string, unknown>, field: string) {
  const rows: Record<string, unknown>[] = [];
  const sizes: number[] = [];
  for (let cursor: unknown; ; ) {
    const { data, text } = await server.call(tool, { ...args, ...(cursor ? { cursor } : {}) });
    const shown = data[field] as Record<string, unknown>[];
    rows.push(...shown);
    sizes.push(shown.length);
    expect(countTokens(JSON.stringify(data))).toBeLessThanOrEqual(2_000);
    expect(countTokens(text)).toBeLessThanOrEqual(2_000);
    expect(Number(data["left"])).toBe(Number(data["total"]) - rows.length);
    cursor = data["cursor"];
    if (cursor === undefined) return { rows, sizes, total: data["total"] };
  }
}

describe("a page ends early where its items are long, and skips nothing", () => {
  beforeEach(fill);

  test.each([
    ["list_storage", { storage: "nfs-shared", content: "iso" }, "volumes", "volid", 25],
    ["list_storage", { storage: "nfs-shared", content: "backup" }, "volumes", "volid", 25],
    ["list_backups", { guest: "101" }, "backups", "volid", 20],
    ["list_guests", {}, "guests", "vmid", 25],
  ])("%s %o", async (tool, args, field, key, limit) => {
    const { rows, sizes, total } = await pages(tool, args, field);
    expect(new Set(rows.map((row) => row[key])).size).toBe(total);
    expect(rows.length).toBe(total);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(limit);
  });

  test("those of images with long names have fewer than was allowed", async () => {
    const args = { storage: "nfs-shared", content: "iso" };
    const { sizes } = await pages("list_storage", args, "volumes");
    expect(sizes[0]).toBeGreaterThan(10);
    expect(sizes[0]).toBeLessThan(25);
  });

  test("whoever asks for more items gets more room", async () => {
    const args = { storage: "nfs-shared", content: "iso", limit: 100 };
    const { data } = await server.call("list_storage", args);
    expect(data).toMatchObject({ left: 0 });
    expect(data).not.toHaveProperty("cursor");
  });

  test("one item that is too long for any page is a page of its own", async () => {
    put(`nfs-shared:iso/${"0123456789".repeat(900)}.iso`, "iso");
    const { data } = await server.call("list_storage", { storage: "nfs-shared", content: "iso" });
    expect((data["volumes"] as unknown[]).length).toBe(1);
    expect(data["left"]).toBe(Number(data["total"]) - 1);
  });
});

test("certificates for hundreds of names show ten, and how many more there are", async () => {
  for (const node of server.simulator.world.nodes.values()) {
    const san = Array.from({ length: 100 }, (_, index) => `host-${index}.${node.name}.lab.example`);
    Object.assign(node.certificates.own.info ?? {}, { san });
  }
  const { rows, total } = await pages("list_certificates", {}, "certificates");
  expect(rows.length).toBe(total);
  const own = rows.find(({ node, use }) => node === "pve1" && use === "own");
  expect(own?.["names"]).toHaveLength(10);
  expect(own?.["more_names"]).toBe(90);
  const { text } = await server.call("list_certificates");
  expect(text).toMatch(/host-0\.pve1\.lab\.example host-1\.pve1\.lab\.example and 98 more/);
});
