/** What was recorded at one moment: `at` in ms, and the values by their PVE names. */
export interface Sample {
  readonly at: number;
  readonly values: Readonly<Record<string, number>>;
}

export type Unit = "fraction" | "bytes" | "bytes/s" | "load";

/** One of the figures that are told: which of PVE's values it is, and which is its limit. */
export interface Metric {
  readonly name: string;
  readonly unit: Unit;
  readonly key: string;
  readonly limit?: string;
}

export interface Figures {
  readonly name: string;
  readonly unit: Unit;
  readonly min: number;
  readonly avg: number;
  readonly p95: number;
  readonly max: number;
  /** When the greatest value was recorded, in ms. */
  readonly maxAt: number;
  readonly last: number;
  readonly limit?: number;
}

/** The averages of one stretch of time; `values` in the order of the figures, undefined where nothing was recorded. */
export interface Point {
  readonly from: number;
  readonly values: readonly (number | undefined)[];
}

/** A stretch without values, both ends included; in ms. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** More than this tells an agent nothing more. */
const maxPoints = 12;
/** The newest values may not be recorded yet: that is no gap. */
const fresh = 2;

const cpu: Metric = { name: "cpu", unit: "fraction", key: "cpu" };
const net: readonly Metric[] = [
  { name: "net_in", unit: "bytes/s", key: "netin" },
  { name: "net_out", unit: "bytes/s", key: "netout" },
];

/** What is told of each kind of thing; the first one says whether anything was recorded. PVE: pve-cluster src/PVE/RRD.pm */
export const metrics = {
  guest: [
    cpu,
    { name: "memory", unit: "bytes", key: "mem", limit: "maxmem" },
    { name: "disk_read", unit: "bytes/s", key: "diskread" },
    { name: "disk_write", unit: "bytes/s", key: "diskwrite" },
    ...net,
  ],
  node: [
    cpu,
    { name: "memory", unit: "bytes", key: "memused", limit: "memtotal" },
    { name: "load", unit: "load", key: "loadavg", limit: "maxcpu" },
    { name: "io_wait", unit: "fraction", key: "iowait" },
    ...net,
  ],
  storage: [{ name: "used", unit: "bytes", key: "used", limit: "total" }],
} as const satisfies Record<string, readonly Metric[]>;

/** Figures of what was recorded; a metric without a single value is left out. `peaks` are the greatest values where `samples` are averages. */
export function figures(
  wanted: readonly Metric[],
  samples: readonly Sample[],
  peaks: readonly Sample[] = samples,
): readonly Figures[] {
  return wanted.flatMap(({ name, unit, key, limit }) => {
    const values = samples.flatMap((sample) => sample.values[key] ?? []);
    const last = values.at(-1);
    if (last === undefined) return [];
    const sorted = values.toSorted((a, b) => a - b);
    const sum = values.reduce((total, value) => total + value, 0);
    const top = greatest(peaks.some((one) => one.values[key] !== undefined) ? peaks : samples, key);
    const most = samples.findLast((sample) => limit !== undefined && limit in sample.values);
    return {
      name,
      unit,
      min: sorted[0] ?? last,
      avg: sum / values.length,
      p95: sorted[Math.ceil(sorted.length * 0.95) - 1] ?? last,
      ...top,
      last,
      ...(most && limit !== undefined && { limit: most.values[limit] ?? 0 }),
    };
  });
}

function greatest(samples: readonly Sample[], key: string): { max: number; maxAt: number } {
  let [max, maxAt] = [Number.NEGATIVE_INFINITY, 0];
  for (const { at, values } of samples) {
    const value = values[key];
    if (value === undefined || value <= max) continue;
    [max, maxAt] = [value, at];
  }
  return { max, maxAt };
}

/** At most twelve stretches of equal length over the whole time, each with its averages. */
export function points(wanted: readonly Metric[], samples: readonly Sample[]): readonly Point[] {
  const size = Math.ceil(samples.length / maxPoints);
  const found: Point[] = [];
  for (let start = 0; start < samples.length; start += size) {
    const part = samples.slice(start, start + size);
    const values = wanted.map(({ key }) => {
      const all = part.flatMap((sample) => sample.values[key] ?? []);
      return all.length === 0 ? undefined : all.reduce((sum, one) => sum + one, 0) / all.length;
    });
    found.push({ from: part[0]?.at ?? 0, values });
  }
  return found;
}

/** Where nothing was recorded of this metric. */
export function gaps({ key }: Metric, samples: readonly Sample[]): readonly Gap[] {
  const found: { from: number; to: number }[] = [];
  let open: { from: number; to: number } | undefined;
  for (const { at, values } of samples) {
    if (values[key] !== undefined) {
      open = undefined;
    } else if (open) {
      open.to = at;
    } else {
      open = { from: at, to: at };
      found.push(open);
    }
  }
  const newest = samples.at(-fresh)?.at ?? 0;
  return found.filter(({ from }) => from < newest);
}
