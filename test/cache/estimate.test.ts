import { expect, test } from "vitest";
import { crowd, vmids } from "../../bench/crowd.ts";
import { lab } from "../kit.ts";

const bound = 32 * 1024 * 1024;
const start = Date.UTC(2026, 0, 1, 12);

/** What memory says it holds after a look at this many VMs among 5,000 guests that have so many characters of notes. */
async function held(looks: number, notes: number) {
  const world = crowd(start, { guests: 5_000, nodes: 50 });
  for (const guest of world.guests.values()) {
    if (notes > 0) guest.config["description"] = "n".repeat(notes);
  }
  const { call, proxmox, close } = await lab({ world });
  await call("list_guests");
  const rows = proxmox.cache.size().bytes;
  for (const vmid of vmids(looks)) await call("get_vm", { vm: vmid });
  const { bytes } = proxmox.cache.size();
  await close();
  return { rows, each: (bytes - rows) / looks };
}

test("5,000 guests with ordinary configurations have room in memory at once", async () => {
  const { rows, each } = await held(50, 0);
  expect(rows + 5_000 * each).toBeLessThan(bound);
});

test("those with 6 kB of notes have not: 4,000 of them would take more than a server may", async () => {
  const { rows, each } = await held(50, 6_000);
  expect(each).toBeGreaterThan(6_000 * 2);
  expect(rows + 2_000 * each).toBeGreaterThan(bound);
});
