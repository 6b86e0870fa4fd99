import { expect, test } from "vitest";
import { createLog } from "../../src/log.ts";
import { Problem } from "../../src/problem.ts";
import { canary } from "./kit.ts";

function logged(level: "debug" | "warn" = "debug") {
  const lines: string[] = [];
  const log = createLog({
    write: (line) => lines.push(line),
    secrets: [canary, "p w/ö"],
    level,
    now: () => 0,
  });
  return { log, lines };
}

test("one JSON line an event, without what is below the level", () => {
  const { log, lines } = logged("warn");
  log.info("unheard");
  log.warn("heard", { count: 2, text: "two\nlines" });
  expect(lines).toEqual([
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","event":"heard","count":2,"text":"two\\nlines"}\n',
  ]);
});

test("secrets never reach a line: in text, keys, errors, causes, depth, percent-encoded, or under a telling name", () => {
  const { log, lines } = logged();
  const cause = new Error(`cause ${canary}`);
  log.error("x", {
    text: `a ${canary} b`,
    [canary]: 1,
    deep: [{ deeper: { list: [canary] } }],
    error: new Problem("upstream", `about ${canary}`, {
      cause,
      facts: { header: `PVEAPIToken=u@pve!t=${"9".repeat(8)}` },
    }),
    url: `https://host/?p=${encodeURIComponent("p w/ö")}`,
    cipassword: "hunter2",
    authorization: "Basic x",
  });
  const [line = ""] = lines;
  expect(line).not.toMatch(/cafe|99999999|hunter2|Basic|%C3%B6/);
  expect(JSON.parse(line)).toMatchObject({
    error: { kind: "upstream", message: "about ***", cause: { message: "cause ***" } },
  });
});

test("nothing that is logged can break the log", () => {
  const { log, lines } = logged();
  const loop: Record<string, unknown> = {};
  loop["self"] = loop;
  const hostile = Object.defineProperty({}, "x", {
    enumerable: true,
    get: () => {
      throw new Error("no");
    },
  });
  log.info("loop", { loop, big: 1n });
  log.info("hostile", { hostile });
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(["loop", "hostile"]);
});
