import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { lab } from "../kit.ts";

/** Collects what nothing holds any more. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

test("an inventory that a newer one has replaced is held by nothing: not by names missed, looks, lists or changes", async () => {
  const { call, clock, proxmox } = await lab();
  const inventories: WeakRef<object>[] = [];
  const see = () => {
    const { last } = proxmox.lookup;
    if (last && inventories.at(-1)?.deref() !== last) inventories.push(new WeakRef(last));
  };
  for (let round = 0; round < 20; round++) {
    await call("get_vm", { vm: `nobody-${round}` });
    see();
    await call("get_vm", { vm: "web-1" });
    await call("get_vm", { vm: round % 2 === 0 ? 101 : "WEB-1" });
    await call("list_guests", { tag: "web", limit: 3 });
    await call(round % 2 === 0 ? "stop_guest" : "start_guest", { guest: "staging-web-1" });
    see();
    await clock.advance(11_000);
  }
  expect(inventories.length).toBeGreaterThanOrEqual(20);
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const alive = inventories.filter((one) => one.deref() !== undefined);
  expect(alive.length).toBeLessThanOrEqual(3);
});
