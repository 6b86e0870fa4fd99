import { expect, test } from "vitest";
import { configurationTable, helpText, replaceSection, toolsTable } from "../../src/docs.ts";
import { tools } from "./kit.ts";

test("the table of tools has the first sentence and marks what is optional", () => {
  expect(toolsTable(tools).split("\n")).toEqual([
    "| Tool | Effect | What it does | Arguments |",
    "| --- | --- | --- | --- |",
    "| `get_guest` | read | Tells about one guest. | `guest` `include?` `limit?` `max_age_s?` |",
    "| `start_guest` | change | Starts a guest. | `guest` `wait_s?` `fail?` |",
    "| `delete_guest` | destroy | Deletes a guest. | `guest` `confirm?` `set?` |",
  ]);
});

test("settings are listed with the file that may hold a secret, without those of a later version", () => {
  for (const text of [configurationTable(), helpText()]) {
    expect(text).toContain("PROXMOX_TOKEN_SECRET_FILE");
    expect(text).toContain("--toolsets core,disks");
    expect(text).not.toMatch(/PROXMOX_USERNAME|PROXMOX_PASSWORD|--files|--config/);
  }
});

test("a section is replaced between its markers, and a missing one is an error", () => {
  const text = "# A\n<!-- tools -->\nold\n<!-- /tools -->\nend\n";
  const replaced = replaceSection(text, "tools", "new $& row");
  expect(replaced).toBe("# A\n<!-- tools -->\nnew $& row\n<!-- /tools -->\nend\n");
  expect(replaceSection(replaced, "tools", "new $& row")).toBe(replaced);
  expect(() => replaceSection(text, "other", "x")).toThrow(/needs one section/);
  expect(() => replaceSection(text + text, "tools", "x")).toThrow(/needs one section/);
});
