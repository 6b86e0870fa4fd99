/** Draws from a source of numbers in 0..1. */
export class Dice {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

export type Arguments = Readonly<Record<string, unknown>>;

export interface Mutation {
  readonly args: Arguments;
  /** The argument that is not as it was. */
  readonly argument: string;
}

const huge = "x".repeat(100_000);

/** Texts that fit the schemas and mean something else, or nothing. */
const texts: readonly string[] = [
  ...["", " ", "\t", "\n", ".", "..", "/", "\\", "%", "%2f", "%2F..%2f", "%00", "\u0000", "*", "?"],
  ...["../..", "../../etc/passwd", "..%2f..%2f", "101/../102", "101%2f..%2f102", "101/", "/101"],
  ...["qemu/101", "lxc/101", "qemu/../lxc/200", "lxc/200/../201", "nodes/pve1", "101?force=1"],
  ...["101#", "101;rm -rf /", "$(reboot)", "`id`", "' OR 1=1 --", "101\r\nHost: evil", "101\n102"],
  ...["NaN", "Infinity", "-Infinity", "-1", "1e9", "0x65", "00101", "101.0", "1_01", "１０１", "٣"],
  ...["true", "null", "undefined", "[object Object]", "{}", "[]", "web-*", "WEB-1", "web-11"],
  ...["\u202eweb-1", "web\u200b-1", "\u2066101\u2069", "\u001b[31mred\u001b[0m", "\ud800", "🦊"],
  ...["é".repeat(50), "a".repeat(63), "a".repeat(64), "a".repeat(100), "a".repeat(101), huge],
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"],
  ...["UPID:", "UPID:pve1:0:0:0:qmstart:101:root@pam:", "UPID:../..:0:0:0:x:1:root@pam:"],
  "UPID:pve9:0000ABCD:00000001:6956A2C0:qmstart:101:root@pam:",
  "UPID:pve1:0000ABCD:00000001:6956A2C0:qmstart:101/../102:root@pam:",
  "UPID:pve1:0000ABCD:00000001:6956A2C0:qmstart:101:root%2f@pam:",
  ...["running", "stopped", "2026-13-45", "2026-01-01T00:00:00Z", "999999m", "-5m", "1w", "1e3h"],
];

const numbers: readonly number[] = [
  ...[0, -0, 1, -1, 0.5, 1.5, 25, 60, 99, 100, 101, 102, 200, 499, 500, 501, 3_600, 3_601, 86_400],
  ...[86_401, 65_536, 2 ** 31, 2 ** 32, 999_999_999, 1_000_000_000, 1e21, -1e21, 5e-324],
  ...[Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, 101.5, 0.1 + 0.2],
];

const others: readonly unknown[] = [
  ...[null, true, false, [], {}, [[]], [null], [""], [101], ["web-1"], ["web-1", 101, "web-1"]],
  ...[{ vmid: 101 }, { toString: "x" }, { length: 1 }, [{ name: "web-1" }], ["agent", "pending"]],
  ...[["agent", "nonsense"], Array.from({ length: 51 }, (_, index) => String(index))],
  ...[Array.from({ length: 1_000 }, () => 1), nested(50), JSON.parse('{"__proto__": {"a": 1}}')],
];

/** Names of arguments that nobody has declared, or that every object has. */
const strangers: readonly string[] = [
  ...["force", "skiplock", "nod", "vmid", "Guest", "guest ", "", "__proto__", "constructor"],
  ...["toString", "hasOwnProperty", "_meta", "\u202econfirm", "a".repeat(500), "confirm\u0000"],
];

/** A valid call with one argument changed: missing, unheard of, or of another value. */
export function mutate(
  valid: Arguments,
  known: readonly string[],
  names: readonly string[],
  dice: Dice,
): Mutation {
  if (known.length === 0 || dice.chance(0.04)) {
    const argument = dice.pick(strangers);
    return { args: withField(valid, argument, value(names, dice)), argument };
  }
  const argument = dice.pick(known);
  const { [argument]: was, ...rest } = valid;
  if (was !== undefined && dice.chance(0.06)) return { args: rest, argument };
  return { args: withField(rest, argument, value(names, dice, was)), argument };
}

/** Mostly of the kind that was there, else nearly all calls would end at the first check. */
function value(names: readonly string[], dice: Dice, was?: unknown): unknown {
  const roll = dice.below(10);
  if (typeof was === "number" && roll < 6) return dice.pick(numbers);
  if (typeof was === "boolean" && roll < 5) return !was;
  if (roll < 3) return dice.pick(names);
  if (roll < 7) return dice.pick(texts);
  return roll < 8 ? dice.pick(numbers) : dice.pick(others);
}

/** As JSON on the wire makes it: also `__proto__` becomes a field of the object's own. */
function withField(args: Arguments, name: string, field: unknown): Arguments {
  const pairs = [...Object.entries(args), [name, field]];
  const text = pairs.map(([key, item]) => `${JSON.stringify(key)}:${JSON.stringify(item)}`).join();
  return JSON.parse(`{${text}}`);
}

function nested(depth: number): unknown {
  return depth === 0 ? "deep" : { more: [nested(depth - 1)] };
}
