import { expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

function start(ages?: string): Promise<Lab> {
  return lab(ages === undefined ? {} : { ages });
}

const counted = [
  ["rows", /^\/cluster\/resources$/],
  ["news", /^\/cluster\/log$/],
  ["configs", /\/config$/],
] as const;

/** What three VMs cost that are all looked up once a second for two minutes. */
async function twoMinutes({ simulator, call, clock }: Lab) {
  for (let second = 0; second < 120; second++) {
    for (const vm of ["web-1", "web-2", "db-1"]) await call("get_vm", { vm });
    await clock.advance(1_000);
  }
  return Object.fromEntries(counted.map(([name, path]) => [name, simulator.log.count({ path })]));
}

test.each([
  // An inventory and a sweep every 11th second, and each configuration once.
  [undefined, { rows: 11, news: 10, configs: 3 }],
  // Sweeps go by the inventory's age; what is trusted for longer needs none between.
  ["inventory=30,guestConfig=30", { rows: 4, news: 3, configs: 3 }],
  ["inventory=4", { rows: 24, news: 23, configs: 3 }],
  // Kept for 40 s: however many sweeps find nothing, it is asked again in the 41st.
  ["guestConfig=10/40", { rows: 11, news: 10, configs: 9 }],
  // Kept no longer than trusted: nothing there is that a sweep could save, and every age counts for itself.
  ["guestConfig=10/10", { rows: 11, configs: 33 }],
  ["guestConfig=0/0", { rows: 11, configs: 360 }],
])("three VMs watched for two minutes with --ages %s cost what it says", async (ages, wanted) => {
  expect(await twoMinutes(await start(ages))).toMatchObject(wanted);
});

test("max_age_s reaches as far as --ages has answers kept", async () => {
  const wide = await start("guestConfig=10/300,inventory=10/300");
  const usual = await start();
  for (const { call, clock, cost } of [wide, usual]) {
    await call("get_vm", { vm: "web-1" });
    await clock.advance(290_000);
    expect(await cost("get_vm", { vm: "web-1", max_age_s: 295 })).toBe(call === wide.call ? 0 : 2);
  }
});

test("a change of somebody else is noticed when the set age is over, not before", async () => {
  const { call, clock, simulator } = await start("inventory=30,guestConfig=30");
  const cores = async () => {
    const { config } = (await call("get_vm", { vm: 101 })).data as { config: { cores: number } };
    return config.cores;
  };
  const before = await cores();
  simulator.outside.setConfig(101, { cores: "7" });
  await clock.advance(30_000);
  expect(await cores()).toBe(before);
  await clock.advance(1);
  expect(await cores()).toBe(7);
});

test("what no sweep vouches for goes by its own age too", async () => {
  const { call, clock, simulator } = await start("certificates=300");
  const asked = async () => {
    await call("list_certificates", { node: "pve1" });
    return simulator.log.count({ path: /\/certificates\/info$/ });
  };
  expect(await asked()).toBe(1);
  await clock.advance(300_000);
  expect(await asked()).toBe(1);
  await clock.advance(1);
  expect(await asked()).toBe(2);
});
