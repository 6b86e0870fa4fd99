import { beforeAll, describe, expect, test } from "vitest";
import { between } from "./between.ts";
import { explained, unsimulated } from "./explained.ts";
import { missing, readRecordings, recorded } from "./recording.ts";
import { type Outcome, Replay } from "./replay.ts";

describe.skipIf(!recorded)(
  `the simulated host beside a real one${recorded ? "" : ` (skipped: ${missing})`}`,
  () => {
    let outcomes: Outcome[] = [];
    const of = (kind: Outcome["kind"]) => outcomes.filter((outcome) => outcome.kind === kind);

    beforeAll(async () => {
      outcomes = await new Replay(readRecordings(), between).run();
    }, 60_000);

    test("it answers as the real one does, but for what is explained", () => {
      const unexplained = of("differs").filter(({ n }) => explained[n] === undefined);
      expect(unexplained.map(({ n, route, details }) => ({ n, route, details }))).toEqual([]);
    });

    test("what is explained does differ", () => {
      const differing = new Set(of("differs").map(({ n }) => n));
      expect(Object.keys(explained).filter((n) => !differing.has(Number(n)))).toEqual([]);
    });

    test("what is not simulated is listed with its reason", () => {
      const routes = new Set(of("not simulated").map(({ route }) => route));
      expect([...routes].sort()).toEqual(Object.keys(unsimulated).sort());
    });

    test("most of what was recorded is compared", () => {
      const differs = of("differs").length;
      const compared = of("same").length + differs;
      process.stdout.write(
        `recordings: ${compared} compared, ${differs} of them differ and are explained, ${of("skipped").length} skipped (${of(
          "skipped",
        )
          .map(({ n, details }) => `${n}: ${details[0]}`)
          .join(
            "; ",
          )}), ${of("not simulated").length} not simulated\n${notSimulated(of("not simulated"))}`,
      );
      expect(compared).toBeGreaterThanOrEqual(450);
    });
  },
);

/** A line a route. */
function notSimulated(outcomes: readonly Outcome[]): string {
  const byRoute = new Map<string, number[]>();
  for (const { route, n } of outcomes) byRoute.set(route, [...(byRoute.get(route) ?? []), n]);
  return [...byRoute]
    .map(
      ([route, numbers]) =>
        `  not simulated: ${route} (${numbers.join(", ")}): ${unsimulated[route]}\n`,
    )
    .join("");
}
