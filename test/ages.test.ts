import { expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { defaultAges } from "../src/proxmox/api/freshness.ts";

const read = (argv: readonly string[]) => readConfig({ env: {}, argv, readFile: () => "" });

test("--ages sets how long kinds of answers are trusted, and kept", () => {
  const ages = (raw: string) => read(["--demo", "--ages", raw]).ages;
  const set = ages("inventory=5, guestConfig=20/300 certificates=300,guestStatus=2");
  expect(set).toEqual({
    ...defaultAges,
    inventory: { trustedMs: 5_000, keptMs: 120_000 },
    guestConfig: { trustedMs: 20_000, keptMs: 300_000, swept: true },
    certificates: { trustedMs: 300_000, keptMs: 300_000 },
    guestStatus: { trustedMs: 2_000, keptMs: 5_000 },
  });
  expect(ages("guestConfig=0/0")?.guestConfig).toEqual({ trustedMs: 0, keptMs: 0, swept: true });
  expect(read(["--demo"])).not.toHaveProperty("ages");
});

test.each([
  ["guests=5", /--ages: there is no age guests\. There are inventory, guestStatus, .*tasks\./],
  ["stoppedTask=5", /there is no age stoppedTask\./],
  ["never=5", /there is no age never\./],
  ["5", /there is no age 5\./],
  ["inventory=", /--ages: inventory needs whole seconds from 0 to 3600, trusted or trusted\/kept/],
  ["inventory=1.5", /inventory needs whole seconds from 0 to 3600/],
  ["inventory=-1", /inventory needs whole seconds/],
  ["inventory=10s", /inventory needs whole seconds/],
  ["guestConfig=10/3601", /guestConfig needs whole seconds from 0 to 3600/],
  ["guestConfig=3601", /guestConfig needs whole seconds from 0 to 3600/],
  ["guestConfig=30/20", /guestConfig cannot be trusted for longer than it is kept/],
  ["jobs=5,jobs=6", /jobs is set twice/],
  ["jobs=x,guests=5", /2 settings to put right.*jobs needs.*no age guests/s],
])("--ages %s is refused", (raw, words) => {
  expect(() => read(["--demo", "--ages", raw])).toThrow(words);
});
