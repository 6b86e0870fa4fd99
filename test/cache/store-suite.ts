import { describe, expect, test } from "vitest";
import type { CacheStore, Entry } from "../../src/cache/store.ts";

function entry(value: unknown, bytes = 10): Entry {
  return { value, fill: 1, beganAt: 0, tags: ["a"], epochs: [0], bytes };
}

/** What any store must do, wherever it keeps its entries. */
export function storeSuite(name: string, open: () => CacheStore): void {
  describe(name, () => {
    test("keeps what was put under a key, and nothing else", async () => {
      const store = open();
      await store.set("one", entry(1));
      expect((await store.get("one"))?.value).toBe(1);
      expect(await store.get("two")).toBeUndefined();
    });

    test("replaces an entry whole", async () => {
      const store = open();
      await store.set("one", entry({ lock: "backup" }));
      await store.set("one", entry({}));
      expect((await store.get("one"))?.value).toEqual({});
    });

    test("raises the counters of the tags that are bumped, and no other", async () => {
      const store = open();
      const before = await store.epochs(["a", "b", "c"]);
      await store.bump(["a", "b"]);
      const after = await store.epochs(["a", "b", "c"]);
      expect(after[0]).not.toBe(before[0]);
      expect(after[1]).not.toBe(before[1]);
      expect(after[2]).toBe(before[2]);
    });

    test("never gives a counter a value that it has had", async () => {
      const store = open();
      const seen = new Set<number | undefined>();
      for (let round = 0; round < 50; round++) {
        const [epoch] = await store.epochs(["a"]);
        expect(seen.has(epoch)).toBe(false);
        seen.add(epoch);
        await store.bump(["a"]);
      }
    });

    test("reads counters in the order of the tags, also of one that was never raised or stands there twice", async () => {
      const store = open();
      await store.bump(["b"]);
      const [a] = await store.epochs(["a"]);
      const [b] = await store.epochs(["b"]);
      expect(await store.epochs(["b", "a", "b"])).toEqual([b, a, b]);
      expect(await store.epochs([])).toEqual([]);
      await store.bump([]);
      expect(await store.epochs(["a", "b"])).toEqual([a, b]);
    });

    test("raises counters for all who ask afterwards, also when many raise them at once", async () => {
      const store = open();
      const before = await store.epochs(["a", "b"]);
      await Promise.all(Array.from({ length: 50 }, () => store.bump(["a", "b"])));
      const after = await store.epochs(["a", "b"]);
      expect(after[0]).not.toBe(before[0]);
      expect(after[1]).not.toBe(before[1]);
      expect(await store.epochs(["a", "b"])).toEqual(after);
    });

    test("leaves entries whose counters were raised to the reader, who compares", async () => {
      const store = open();
      const epochs = await store.epochs(["a"]);
      await store.set("one", { ...entry(1), epochs });
      await store.bump(["a"]);
      const kept = await store.get("one");
      if (kept) expect(kept.epochs).not.toEqual(await store.epochs(["a"]));
    });

    test("gives an entry back as it was put, whatever its time: it compares no clocks", async () => {
      const store = open();
      for (const beganAt of [0, 1, 4_102_444_800_000]) {
        const one = { ...entry({ deep: [1, { two: "2" }] }), beganAt, epochs: [7, 8] };
        await store.set("one", one);
        expect(await store.get("one")).toEqual(one);
      }
    });

    test("is asynchronous in everything but its size", () => {
      const store = open();
      const answers = [store.get("x"), store.set("x", entry(1)), store.epochs([]), store.bump([])];
      for (const answer of answers) expect(answer).toBeInstanceOf(Promise);
    });

    test("counts entries and bytes", async () => {
      const store = open();
      await store.set("one", entry(1, 10));
      await store.set("two", entry(2, 30));
      expect(store.size()).toEqual({ entries: 2, bytes: 40 });
    });
  });
}
