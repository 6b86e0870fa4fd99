import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeOf, path, pathFrom, rest, templateOf } from "../../src/http/path.ts";
import { isProblem } from "../../src/problem.ts";

const refused = (make: () => unknown) => {
  try {
    make();
  } catch (error) {
    return isProblem(error, "invalid_input");
  }
  return false;
};

describe("a path", () => {
  test("takes every value as one encoded segment", () => {
    expect(path`/nodes/${"pve1"}/qemu/${101}/config`).toBe("/nodes/pve1/qemu/101/config");
    const upid = "UPID:pve1:0000A1B2:00C0FFEE:65A1B2C3:qmstart:101:agent@pve!mcp:";
    expect(path`/nodes/${"pve1"}/tasks/${upid}/status`).toBe(
      "/nodes/pve1/tasks/UPID%3Apve1%3A0000A1B2%3A00C0FFEE%3A65A1B2C3%3Aqmstart%3A101%3Aagent%40pve%21mcp%3A/status",
    );
    expect(path`/a/${"50%>x"}`).toBe("/a/50%25%3Ex");
  });

  test("has a slash in a value only where the value is the rest of the path", () => {
    expect(path`/nodes/${"pve1"}/storage/${"local"}/content/${rest("local:iso/x.iso")}`).toBe(
      "/nodes/pve1/storage/local/content/local%3Aiso/x.iso",
    );
    expect(refused(() => path`/storage/${"local:iso/x.iso"}`)).toBe(true);
    expect(refused(() => path`/storage/${rest("local:iso/../x.iso")}`)).toBe(true);
    expect(refused(() => path`/storage/${rest("a//b")}`)).toBe(true);
    expect(() => path`/storage/${rest("a")}/b`).toThrow(TypeError);
  });

  test.each([
    "",
    ".",
    "..",
    "%2e%2E",
    "a/b",
    "a%2fb",
    "a%2Fb",
    "a\nb",
    "\u0000",
    "\ud800",
    -1,
    1.5,
  ])("refuses %j as a segment", (value) => {
    expect(refused(() => path`/nodes/${value}/status`)).toBe(true);
  });

  test("does not glue a value to other text", () => {
    expect(() => path`/nodes/x${"y"}`).toThrow(TypeError);
    expect(() => path`/nodes/${"x"}y`).toThrow(TypeError);
    expect(() => path`/nodes/${"x"}${"y"}`).toThrow(TypeError);
  });

  test("keeps its shape whatever the values are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (one, two) => {
        let made: string;
        try {
          made = path`/nodes/${one}/tasks/${two}/log`;
        } catch (error) {
          return isProblem(error, "invalid_input");
        }
        // As PVE reads it: decode the whole, then split.
        expect(decodeURIComponent(made).split("/")).toEqual([
          "",
          "nodes",
          one,
          "tasks",
          two,
          "log",
        ]);
        expect(made).toMatch(/^[\w/%.~-]+$/);
        return true;
      }),
    );
  });

  test("can be what somebody wrote", () => {
    expect(pathFrom("/nodes/pve1/storage/local/content/local:iso/x.iso")).toBe(
      "/nodes/pve1/storage/local/content/local%3Aiso/x.iso",
    );
    expect(refused(() => pathFrom("nodes"))).toBe(true);
    expect(refused(() => pathFrom("/nodes/../access"))).toBe(true);
    expect(refused(() => pathFrom("/nodes//x"))).toBe(true);
  });

  test("tells its node", () => {
    expect(nodeOf(path`/nodes/${"pve1"}/status`)).toBe("pve1");
    expect(nodeOf(path`/cluster/resources`)).toBeUndefined();
    expect(nodeOf(path`/nodes`)).toBeUndefined();
  });

  test("shows no names and numbers in its template", () => {
    const templates = [
      path`/nodes/${"pve1"}/qemu/${101}/config`,
      path`/nodes/${"pve1"}/tasks/${"UPID:x:"}/log`,
      path`/nodes/${"pve1"}/storage/${"local"}/content/${rest("local:iso/x.iso")}`,
      path`/cluster/resources`,
      path`/constructor/x`,
    ].map(templateOf);
    expect(templates).toEqual([
      "/nodes/{node}/qemu/{vmid}/config",
      "/nodes/{node}/tasks/{upid}/log",
      "/nodes/{node}/storage/{storage}/content/{volume}",
      "/cluster/resources",
      "/constructor/x",
    ]);
  });
});
