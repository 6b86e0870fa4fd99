import { expect, test } from "vitest";
import { lab, tools } from "../kit.ts";

test("ten questions about a node that is not there cost one request, at once or in a row", async () => {
  const { call, begin, clock, simulator } = await lab({ tools });
  await call("list_guests");
  await clock.advance(5_000);
  const mark = simulator.log.mark();
  const ask = () => begin("list_storage", { node: "pve9" });
  const answers = await clock.run(Promise.all(Array.from({ length: 10 }, ask)));
  expect(answers.every(({ kind }) => kind === "not_found")).toBe(true);
  for (let more = 0; more < 10; more++) {
    await clock.advance(190);
    for (const name of ["list_storage", "list_backups", "list_certificates"]) {
      expect((await call(name, { node: "pve9" })).kind).toBe("not_found");
    }
  }
  expect(simulator.log.paths(mark)).toEqual(["GET /cluster/resources"]);
});

test("a node that has just joined is found as soon as what memory has is two seconds old", async () => {
  const { call, clock, simulator } = await lab();
  expect((await call("list_storage", { node: "pve9" })).kind).toBe("not_found");
  const { nodes } = simulator.world;
  const one = nodes.get("pve3");
  if (!one) throw new Error("no such node");
  nodes.set("pve9", { ...one, name: "pve9" });
  await clock.advance(2_001);
  expect((await call("list_storage", { node: "pve9" })).isError).toBe(false);
});
