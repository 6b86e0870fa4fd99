import { performance } from "node:perf_hooks";
import { Child } from "./child.ts";
import type { Row } from "./report.ts";

const rounds = 10;
const perRound = 300;
const inFlight = 16;
/** The middle one of so many measurements is told, as neighbours on the machine disturb some of them. */
const tries = 3;

interface Probe {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const empty: Probe = { tool: "empty", args: {} };
const warm: Probe = { tool: "get_vm", args: { vm: "web-1" } };

interface Measured {
  readonly p50: number;
  readonly p99: number;
  /** Calls in a second, 16 in flight. */
  readonly rate: number;
}

/** A call answered from memory against one that does nothing, on one server, by turns, so that both meet the same machine. */
export async function warmCalls(): Promise<readonly Row[]> {
  const child = new Child({ script: "server.js" });
  await child.open();
  try {
    for (const probe of [empty, warm]) await rate(child, probe, 10_000);
    const all: (readonly Row[])[] = [];
    for (let one = 0; one < tries; one++) all.push(await compared(child));
    return middleOf(all);
  } finally {
    await child.close();
  }
}

/** Of each row the measurement in the middle. */
function middleOf(all: readonly (readonly Row[])[]): readonly Row[] {
  const [first = []] = all;
  return first.flatMap((_, index) => {
    const same = all.flatMap((rows) => rows[index] ?? []);
    return same.sort((a, b) => a.measured - b.measured)[Math.floor(same.length / 2)] ?? [];
  });
}

/** Each figure is the middle one of its rounds' ratios. */
async function compared(child: Child): Promise<readonly Row[]> {
  const pairs: { empty: Measured; warm: Measured }[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = await measured(child, round % 2 === 0 ? empty : warm);
    const second = await measured(child, round % 2 === 0 ? warm : empty);
    pairs.push(round % 2 === 0 ? { empty: first, warm: second } : { empty: second, warm: first });
  }
  const row = (key: keyof Measured, what: string, bound: Pick<Row, "min" | "max">): Row => {
    const middle = (tool: "empty" | "warm") =>
      quantile(
        pairs.map((pair) => pair[tool][key]),
        0.5,
      );
    const ratios = pairs.map((pair) => pair.warm[key] / pair.empty[key]);
    const digits = key === "rate" ? 0 : 3;
    const unit = key === "rate" ? "calls/s" : "ms";
    return {
      what,
      ...bound,
      measured: quantile(ratios, 0.5),
      unit: "×",
      note: `${middle("warm").toFixed(digits)} ${unit}, empty ${middle("empty").toFixed(digits)} ${unit}`,
    };
  };
  return [
    row("p50", "get_vm from memory, p50", { max: 1.5 }),
    row("p99", "get_vm from memory, p99", { max: 2.5 }),
    row("rate", "calls in a second, 16 in flight", { min: 0.7 }),
  ];
}

async function measured(child: Child, probe: Probe): Promise<Measured> {
  const times = await latencies(child, probe, perRound);
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    rate: await rate(child, probe, 4 * perRound),
  };
}

async function latencies(child: Child, { tool, args }: Probe, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let call = 0; call < count; call++) {
    const began = performance.now();
    await child.send(tool, args);
    times.push(performance.now() - began);
  }
  return times;
}

async function rate(child: Child, { tool, args }: Probe, count: number): Promise<number> {
  const began = performance.now();
  let left = count;
  const lane = async () => {
    while (left-- > 0) await child.send(tool, args);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return (count * 1_000) / (performance.now() - began);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
