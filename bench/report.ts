import process from "node:process";
import { type Column, table } from "../src/text.ts";

/** One figure: what it may be, and what it is. */
export interface Row {
  readonly what: string;
  /** The most (`max`) or the least (`min`) that it may be; without either it is only told. */
  readonly max?: number;
  readonly min?: number;
  readonly measured: number;
  readonly unit?: "ms" | "s" | "×" | "%" | "MiB";
  /** Beside the figure: what it was made of. */
  readonly note?: string;
}

/** Whether it is as it should be. */
export function holds({ max, min, measured }: Row): boolean {
  return (max === undefined || measured <= max) && (min === undefined || measured >= min);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A heading, the figures below it, and how near each is to its bound. */
export function show(title: string, rows: readonly Row[]): void {
  say(`\n${title}\n${table(rows, columns)}`);
}

const columns: readonly Column<Row>[] = [
  { head: "", cell: ({ what }) => what },
  {
    head: "wanted",
    cell: ({ max, min, unit }) =>
      max !== undefined
        ? `≤ ${figure(max, unit)}`
        : min !== undefined
          ? `≥ ${figure(min, unit)}`
          : undefined,
    right: true,
  },
  { head: "measured", cell: ({ measured, unit }) => figure(measured, unit), right: true },
  { head: "", cell: (row) => verdict(row) },
  { head: "", cell: ({ note }) => note },
];

function verdict(row: Row): string {
  const { max, min, measured } = row;
  const bound = max ?? min;
  if (bound === undefined) return "";
  if (!holds(row)) return "MISSED";
  const margin = bound === 0 ? 0 : Math.abs(1 - measured / bound);
  return bound === 0 || row.unit === undefined ? "ok" : `ok, margin ${Math.round(margin * 100)} %`;
}

function figure(value: number, unit: Row["unit"]): string {
  const digits = Number.isInteger(value) || value >= 100 ? 0 : value < 10 ? 2 : 1;
  return `${value.toFixed(digits)}${unit === undefined ? "" : ` ${unit}`}`;
}
