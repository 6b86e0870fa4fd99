import { expect, test } from "vitest";
import { configurationTable, replaceSection, toolsTables, usage } from "../../src/docs.ts";
import { tools } from "./kit.ts";

test("the tables of tools, one a toolset, have effect and first sentence and mark what is optional", () => {
  expect(toolsTables({ core: tools, more: tools.slice(0, 1) }).split("\n")).toEqual([
    "`core`",
    "",
    "| Tool | Effect | What it does | Arguments |",
    "| --- | --- | --- | --- |",
    "| `get_guest` | read | Tells about one guest. | `guest` `include?` `limit?` `max_age_s?` |",
    "| `start_guest` | change | Starts a guest. | `guest` `wait_s?` `ends?` |",
    "| `delete_guest` | destroy | Deletes a guest. | `guest` `confirm?` `set?` `vmid?` `tag?` |",
    "",
    "`more`",
    "",
    "| Tool | Effect | What it does | Arguments |",
    "| --- | --- | --- | --- |",
    "| `get_guest` | read | Tells about one guest. | `guest` `include?` `limit?` `max_age_s?` |",
  ]);
});

test("settings are listed with the file that may hold a secret, without those of a later version", () => {
  for (const text of [configurationTable(), usage({ core: tools })]) {
    expect(text).toContain("PROXMOX_TOKEN_SECRET_FILE");
    expect(text).toContain("PROXMOX_USERNAME");
    expect(text).toContain("PROXMOX_PASSWORD_FILE");
    expect(text).toContain("--toolsets core,disks");
    expect(text).toContain("--files /etc/mcp-files");
    expect(text).not.toMatch(/--config/);
  }
});

test("the help lists the toolsets with their tools, by what these can do", () => {
  expect(usage({ core: tools, more: tools.slice(1, 2) })).toMatch(
    /\nToolsets:\n {2}core +read: get_guest\n +change: start_guest\n +destroy: delete_guest\n {2}more +change: start_guest\n$/,
  );
});

test("a section is replaced between its markers, and a missing one is an error", () => {
  const text = "# A\n<!-- tools -->\nold\n<!-- /tools -->\nend\n";
  const replaced = replaceSection(text, "tools", "new $& row");
  expect(replaced).toBe("# A\n<!-- tools -->\nnew $& row\n<!-- /tools -->\nend\n");
  expect(replaceSection(replaced, "tools", "new $& row")).toBe(replaced);
  expect(() => replaceSection(text, "other", "x")).toThrow(/needs one section/);
  expect(() => replaceSection(text + text, "tools", "x")).toThrow(/needs one section/);
});
