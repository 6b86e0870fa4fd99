import { expect, test } from "vitest";
import { neverBack } from "../src/clock.ts";

test("a clock that is set back goes on from where it was, and follows one that is set forward", () => {
  const times = [1_000, 1_500, 200, 300, 300, 5_000];
  const now = neverBack(() => times.shift() ?? Number.NaN);
  expect([now(), now(), now(), now(), now(), now()]).toEqual([
    1_000, 1_500, 1_500, 1_600, 1_600, 6_300,
  ]);
});
