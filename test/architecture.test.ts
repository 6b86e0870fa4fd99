import { describe, expect, it } from "vitest";
import { folders as proxmox } from "./architecture/proxmox.ts";
import { rules } from "./architecture/rules.ts";
import { circle, parse, read } from "./architecture/sources.ts";

/** Where a rule does not hold, and why. One that is not needed any more fails. */
const exceptions: readonly (readonly [rule: string, where: string, reason: string])[] = [
  ["console", "src/mcp/stdio.ts:protectStdout", "takes console away from dependencies"],
  ["any", "test/simulator/host.ts:Answer", "answers of many shapes, looked into by tests"],
  ["time", "src/log.ts:createLog", "a default that tests replace"],
  ["function length", "src/simulator/demo.ts:addAwkward", "one list of guests"],
  ["function length", "src/simulator/demo.ts:addFiles", "one list of files"],
  ["function length", "src/simulator/clone.ts:copyDisk", "one sequence of log lines"],
  ["function length", "src/simulator/routes/acl.ts:aclRoutes", "one list of routes"],
];

const folders = ["src", "tools", "test", "bench"] as const;
const sources = folders.flatMap(read);

describe("the house", () => {
  it.each([
    ...folders,
    "src/http",
    "src/cache",
    "src/proxmox",
    "src/guard",
    "src/mcp",
    "src/simulator",
  ])("was seen: %s", (folder) => {
    expect(sources.filter(({ path }) => path.startsWith(`${folder}/`)).length).toBeGreaterThan(0);
  });

  it.each(rules)("keeps its rule on $name", (rule) => {
    const broken = sources.filter(({ path }) => rule.holds.test(path)).flatMap(rule.find);
    const excused = exceptions.filter(([name]) => name === rule.name).map(([, where]) => where);
    expect(broken.filter((where) => !excused.includes(where))).toEqual([]);
    expect(excused.filter((where) => !broken.includes(where))).toEqual([]);
  });

  it.each(
    rules.flatMap((rule) =>
      rule.planted.map(([path, text]) => ({ rule, path, text, name: rule.name })),
    ),
  )("would see $path break the rule on $name: $text", ({ rule, path, text }) => {
    expect(rule.holds.test(path)).toBe(true);
    expect(rule.find(parse(path, text))).not.toEqual([]);
  });

  it("has no circular imports, and would see one", () => {
    const [a, b] = [
      parse("src/a.ts", 'import "./b.ts";'),
      parse("src/b.ts", 'import type { A } from "./a.ts";'),
    ];
    expect(circle([a, b])).toEqual(["src/a.ts", "src/b.ts", "src/a.ts"]);
    expect(circle(sources)).toBeUndefined();
  });

  it("gives every exception a reason and a rule that exists", () => {
    const names = rules.map(({ name }) => name);
    expect(exceptions.filter(([rule, , why]) => !names.includes(rule) || why === "")).toEqual([]);
  });
});

describe("the folders of src/proxmox", () => {
  /** The part of a path that is a folder there; undefined for what lies in none or elsewhere. */
  const folderOf = (path: string) => /^src\/proxmox\/([^/]+)\//.exec(path)?.[1];
  const names = Object.keys(proxmox);

  it("are all in the list", () => {
    const there = new Set(sources.flatMap(({ path }) => folderOf(path) ?? []));
    expect([...there].sort()).toEqual(names.toSorted());
  });

  it.each(names)("stand in order, and use what they may: %s", (name) => {
    const used = sources
      .filter(({ path }) => folderOf(path) === name)
      .flatMap(({ imports }) => imports.flatMap(({ of }) => folderOf(of) ?? []))
      .filter((other) => other !== name);
    const below = names.slice(0, names.indexOf(name)).filter((other) => used.includes(other));
    expect(proxmox[name]).toEqual(below);
    expect(used.filter((other) => !below.includes(other))).toEqual([]);
  });
});
