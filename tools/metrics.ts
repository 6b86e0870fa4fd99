import * as z from "zod";
import type { Figures, Metric, Point } from "../src/proxmox/cluster/metric-figures.ts";
import type { Recorded } from "../src/proxmox/cluster/metrics.ts";
import { bytes, duration, percent, table } from "../src/text.ts";
import { defineTool } from "../src/tool.ts";
import * as params from "./params.ts";

const output = z.object({
  vmid: z.int().optional(),
  name: z.string().optional(),
  storage: z.string().optional(),
  node: z.string(),
  type: z.string().optional(),
  from: z.string(),
  to: z.string(),
  step_s: z.number(),
  metrics: z.record(z.string(), z.unknown()),
  points: z.array(z.unknown()),
  gaps: z.array(z.unknown()).optional(),
});

type Result = z.output<typeof output>;

const maxGaps = 5;

export const getMetrics = defineTool({
  name: "get_metrics",
  description:
    "How a guest, a node or a storage was used over time: min, avg, p95 and max of cpu, memory, disk and network with up to 12 points, and gaps in the record.",
  effect: "read",
  input: z.object({
    guest: params.guest.optional(),
    node: params.node.optional(),
    storage: z.string().trim().min(1).max(100).optional(),
    timeframe: z.enum(["hour", "day", "week", "month", "year"]).default("hour"),
    ...params.reading,
  }),
  output,
  async run({ guest, node, storage, timeframe }, { proxmox, call }) {
    return fields(await proxmox.services.metrics.of({ guest, node, storage, timeframe }, call));
  },
  show(result) {
    const named = result.name === undefined ? "" : ` (${result.name})`;
    const kind = result.type === "lxc" ? "container" : "VM";
    const what =
      result.storage !== undefined
        ? `Storage ${result.storage} on ${result.node}`
        : result.vmid === undefined
          ? `Node ${result.node}`
          : `${kind} ${result.vmid}${named} on ${result.node}`;
    const span = `${stamp(result.from)} to ${stamp(result.to)} UTC`;
    const head = `${what}, ${span}, a value each ${duration(result.step_s)}`;
    if (Object.keys(result.metrics).length === 0) {
      return `${head}: nothing was recorded.`;
    }
    return [`${head}:`, figuresTable(result), pointsTable(result), ...gapLines(result)].join("\n");
  },
});

function fields({ guest, node, storage, from, to, stepMs, ...recorded }: Recorded): Result {
  const known = recorded.figures.map(({ name, unit, maxAt, ...values }) => [
    name,
    { unit, ...rounded(values), max_at: iso(maxAt) },
  ]);
  const { gaps } = recorded;
  return {
    ...(guest && {
      vmid: guest.vmid,
      type: guest.type,
      ...(guest.name !== undefined && { name: guest.name }),
    }),
    ...(storage !== undefined && { storage }),
    node,
    from: iso(from),
    to: iso(to),
    step_s: stepMs / 1000,
    metrics: Object.fromEntries(known),
    points: recorded.figures.length === 0 ? [] : pointFields(recorded.points, recorded.names),
    ...(gaps.length > 0 && {
      gaps: gaps.map((gap) => ({ from: iso(gap.from), to: iso(gap.to) })).slice(-maxGaps),
    }),
  };
}

function pointFields(points: readonly Point[], names: readonly Metric[]) {
  return points.map(({ from, values }) => {
    const entries = names.flatMap(({ name }, index) => {
      const value = values[index];
      return value === undefined ? [] : [[name, significant(value)] as const];
    });
    return { from: iso(from), ...Object.fromEntries(entries) };
  });
}

function rounded(values: Omit<Figures, "name" | "unit" | "maxAt">) {
  const entries = Object.entries(values).map(([name, value]) => [name, significant(value)]);
  return Object.fromEntries(entries) as typeof values;
}

/** Four digits say all that an average can. */
function significant(value: number): number {
  return value >= 10_000 ? Math.round(value) : Number(value.toPrecision(4));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function stamp(time: string): string {
  return time.slice(0, 16).replace("T", " ");
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly min: number;
  readonly avg: number;
  readonly p95: number;
  readonly max: number;
  readonly max_at: string;
  readonly last: number;
  readonly limit?: number;
}

function rowsOf(result: Result): readonly Row[] {
  return Object.entries(result.metrics).map(([name, figures]) => ({
    name,
    ...(figures as Omit<Row, "name">),
  }));
}

function figuresTable(result: Result): string {
  const cell = (key: "min" | "avg" | "p95" | "max" | "last" | "limit") => ({
    head: key === "limit" ? "of" : key,
    right: true,
    cell: (row: Row) => {
      const value = row[key];
      return value === undefined ? undefined : shown(value, row.unit);
    },
  });
  return table(rowsOf(result), [
    { head: "metric", cell: (row) => row.name },
    ...(["min", "avg", "p95", "max"] as const).map(cell),
    { head: "max at", cell: (row) => stamp(row.max_at) },
    cell("last"),
    cell("limit"),
  ]);
}

function pointsTable(result: Result): string {
  const points = result.points as readonly Readonly<Record<string, string | number>>[];
  return table(points, [
    { head: "from", cell: (point) => stamp(String(point["from"])) },
    ...rowsOf(result).map(({ name, unit }) => ({
      head: name,
      right: true,
      cell: (point: Readonly<Record<string, string | number>>) => {
        const value = point[name];
        return typeof value === "number" ? shown(value, unit) : "-";
      },
    })),
  ]);
}

function shown(value: number, unit: string): string {
  if (unit === "fraction") return percent(value);
  if (unit === "load") return value.toFixed(2);
  return unit === "bytes" ? bytes(value) : `${bytes(value)}/s`;
}

function gapLines({ gaps = [], storage }: Result): string[] {
  const why = storage === undefined ? "it was off, or its node was silent" : "its node was silent";
  return (gaps as readonly { from: string; to: string }[]).map(
    ({ from, to }) => `Nothing recorded from ${stamp(from)} to ${stamp(to)}: ${why}.`,
  );
}
