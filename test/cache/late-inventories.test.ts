import { expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

/** A lab in which the next answer with rows is held back for so long, on its way to us. */
async function holding(): Promise<Lab & { holdRows(ms: number): void }> {
  let holdMs = 0;
  const server = await lab({
    wire: (host, clock) => ({
      send: async (request) => {
        const reply = await host.send(request);
        const ms = request.path.includes("/cluster/resources") ? holdMs : 0;
        if (ms > 0) {
          holdMs = 0;
          await clock.sleep(ms);
        }
        return reply;
      },
      close: () => host.close(),
    }),
  });
  const holdRows = (ms: number) => {
    holdMs = ms;
  };
  return { ...server, holdRows };
}

/** The name in 102's row, `""` for a row without one, undefined where there is no row. */
function nameIn({ data }: { readonly data: Readonly<Record<string, unknown>> }) {
  const guests = data["guests"] as readonly { readonly vmid: number; readonly name?: string }[];
  const row = guests.find(({ vmid }) => vmid === 102);
  return row && (row.name ?? "");
}

const rows = { limit: 100, max_age_s: 0 };

test("rows that newer ones have overtaken on their way show nobody a guest that is gone by now", async () => {
  const { begin, call, clock, simulator, holdRows } = await holding();
  holdRows(5_000);
  const slow = begin("list_guests", rows);
  await clock.advance(1_000);
  simulator.outside.destroy(102);
  await clock.advance(1_000);
  expect(nameIn(await call("list_guests", rows))).toBeUndefined();
  expect(nameIn(await clock.run(slow))).toBeUndefined();
});

test("the name of who has taken a dead guest's vmid is believed 15 s after the rows were asked for, however slowly they came", async () => {
  const { call, clock, simulator, holdRows } = await holding();
  await call("list_guests", rows);
  simulator.outside.retake(102, { type: "lxc", name: "newcomer" });
  await clock.advance(500);
  holdRows(3_000);
  expect(nameIn(await call("list_guests", rows))).toBe("");
  await clock.advance(12_001);
  expect(nameIn(await call("list_guests", rows))).toBe("newcomer");
});
