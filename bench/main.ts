import { performance } from "node:perf_hooks";
import process from "node:process";
import { big } from "./big.ts";
import { figures } from "./figures.ts";
import { holds, type Row, say, show } from "./report.ts";
import { stale } from "./stale.ts";
import { wallTimes } from "./wall.ts";
import { warmCalls } from "./warm.ts";

const began = performance.now();
const missed: string[] = [];

/** Shows the figures; what should be better is told at the end. */
function report(title: string, rows: readonly Row[]): void {
  show(title, rows);
  for (const row of rows) if (!holds(row)) missed.push(row.what);
}

report("Requests, counted in the simulated host's log", await figures());
report(
  "Wall time over HTTPS as a share of a client that remembers nothing",
  await wallTimes([0, 20, 100]),
);
report("A call from memory as a multiple of one that does nothing, over stdio", await warmCalls());
report("Large clusters", await big());
report("Longest stale answer after another administrator's change", await stale(24));

say(`\n${((performance.now() - began) / 1_000).toFixed(0)} s`);
if (missed.length > 0) {
  say(`MISSED: ${missed.join("; ")}`);
  process.exitCode = 1;
}
