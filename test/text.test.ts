import { expect, test } from "vitest";
import {
  ago,
  bytes,
  closest,
  count,
  duration,
  followedBy,
  list,
  oneLine,
  percent,
  table,
  unquoted,
} from "../src/text.ts";

test("a table is aligned, leaves empty columns out and keeps each row on its line", () => {
  const rows = [
    { id: 101, name: "web-1\nforged 102", pool: undefined },
    { id: 9, name: "a", pool: undefined },
  ];
  const text = table(rows, [
    { head: "VMID", cell: (row) => row.id, right: true },
    { head: "NAME", cell: (row) => row.name },
    { head: "POOL", cell: (row) => row.pool },
  ]);
  expect(text).toBe("VMID  NAME\n 101  web-1 forged 102\n   9  a");
  expect(table([], [{ head: "A", cell: () => 1 }])).toBe("");
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [1024 ** 2 - 1, "1 MiB"],
  [34_359_738_368, "32 GiB"],
  [150.4 * 1024 ** 3, "150 GiB"],
  [2 * 1024 ** 6, "2048 PiB"],
  [-2048, "-2 KiB"],
])("%d bytes are %s", (size, words) => {
  expect(bytes(size)).toBe(words);
});

test.each([
  [0, "0 s"],
  [3.14, "3.1 s"],
  [42.4, "42 s"],
  [59.7, "1 min"],
  [61, "1 min 1 s"],
  [3_599.6, "1 h"],
  [3_660, "1 h 1 min"],
  [90_061, "1 d 1 h"],
  [86_399.9, "1 d"],
  [-5, "0 s"],
])("%d seconds are %s", (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});

test("small words", () => {
  expect([percent(0.004), percent(0.1234), percent(1)]).toEqual(["0.4 %", "12 %", "100 %"]);
  expect([count(1, "guest"), count(0, "guest"), count(2, "entry", "entries")]).toEqual([
    "1 guest",
    "0 guests",
    "2 entries",
  ]);
  expect([ago(400), ago(7_400), ago(125_000)]).toEqual(["0 s ago", "7 s ago", "2 min 5 s ago"]);
  expect([oneLine(" a\n\tb ", 10), oneLine("abcdef", 4), oneLine("😀😀😀", 2)]).toEqual([
    "a b",
    "abc…",
    "😀…",
  ]);
  expect(list(" a, b\n c,,")).toEqual(["a", "b", "c"]);
  expect([unquoted(` "a'b" `), unquoted("''"), unquoted(undefined), unquoted(`"a`)]).toEqual([
    "a'b",
    undefined,
    undefined,
    `"a`,
  ]);
});

test("the closest words come first and strangers not at all", () => {
  expect(closest("web-1", ["web-10", "web-2", "db", "web-1x", "mail"], 3)).toEqual([
    "web-10",
    "web-1x",
    "web-2",
  ]);
  expect(closest("gest", ["guest", "gist", "node"], 5)).toEqual(["gist", "guest"]);
  expect(closest("WEB-1", ["web-1"], 1)).toEqual(["web-1"]);
  expect(closest("ndoe", ["node", "storage"], 1)).toEqual(["node"]);
  expect(closest("", ["a", "bcd"], 3)).toEqual(["a"]);
  expect(closest("x".repeat(100_000), ["y".repeat(100_000)], 1)).toEqual([]);
});

test.each([
  ["Proxmox says: VM is locked", "Wait.", "Proxmox says: VM is locked. Wait."],
  ["It ended.", "Wait.", "It ended. Wait."],
  ['He said "no."', "Wait.", 'He said "no." Wait.'],
  ["a line\n", "Wait.", "a line\nWait."],
  ["alone", undefined, "alone"],
])("followedBy puts a full stop between %j and %j", (sentence, next, whole) => {
  expect(followedBy(sentence, next)).toBe(whole);
});
