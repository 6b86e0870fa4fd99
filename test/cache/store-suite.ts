import { describe, expect, test } from "vitest";
import type { CacheStore, Entry } from "../../src/cache/store.ts";

function entry(value: unknown, bytes = 10): Entry {
  return { value, beganAt: 0, tags: ["a"], epochs: [0], bytes };
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

    test("counts entries and bytes", async () => {
      const store = open();
      await store.set("one", entry(1, 10));
      await store.set("two", entry(2, 30));
      expect(store.size()).toEqual({ entries: 2, bytes: 40 });
    });
  });
}
