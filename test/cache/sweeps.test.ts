import { expect, test } from "vitest";
import { lab } from "../kit.ts";

test("a sweep that overtakes another vouches for nothing of which the other has heard", async () => {
  const { simulator, clock, begin, call } = await lab();
  await call("get_vm", { vm: "web-1" });
  simulator.outside.setConfig(101, { cores: "7" });
  await clock.advance(11_000);
  // The first sweep hears of the change at once, and waits long for its rows.
  simulator.faults.delay(30_000, { path: /^\/cluster\/resources$/, times: 1 });
  const slow = begin("get_vm", { vm: "web-1" });
  await clock.advance(11_000);
  const second = await call("get_vm", { vm: "web-1" });
  expect(second.data["config"]).toMatchObject({ cores: 7 });
  expect((await clock.run(slow)).data["config"]).toMatchObject({ cores: 7 });
});
