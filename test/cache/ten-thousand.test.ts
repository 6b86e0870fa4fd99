import { expect, test } from "vitest";
import { crowd, vmids } from "../../bench/crowd.ts";
import { lab } from "../kit.ts";

/** Room for about two hundred configurations beside the rows. */
const room = 800_000;

test("ten thousand guests, listed and looked up, stay within the memory's bound", async () => {
  const world = crowd(Date.UTC(2026, 0, 1, 12), { guests: 10_000, nodes: 100 });
  const first = await lab({ world });
  await first.call("list_guests");
  const rows = first.proxmox.cache.size().bytes;
  await first.close();

  const bound = rows + room;
  const { call, cost, proxmox, close } = await lab({ world, cacheBytes: bound });
  expect(await cost("list_guests", { limit: 100 })).toBe(1);
  const looked = vmids(300);
  for (const vmid of looked) {
    expect((await call("get_vm", { vm: vmid })).data).toMatchObject({ vmid });
    expect(proxmox.cache.size().bytes).toBeLessThanOrEqual(bound);
  }
  expect(proxmox.cache.counters.evicted).toBeGreaterThan(0);
  // What is used all the time stays; who was looked up long ago has made room.
  expect(await cost("list_guests", { status: "stopped" })).toBe(0);
  expect(await cost("get_vm", { vm: looked.at(-1) })).toBe(0);
  expect(await cost("get_vm", { vm: looked[0] })).toBe(1);
  await close();
});
