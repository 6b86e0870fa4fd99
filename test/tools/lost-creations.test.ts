import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const settings = { cores: 4, memory: 4096, user: "ops", ips: ["192.0.2.50/24"] };

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

/** Proxmox carries the request out, and its answer never comes. */
function lose(path: RegExp): void {
  server.simulator.faults.cutAfterWorld({ method: "POST", path, times: 1 });
}

test.each([
  [
    "clone_vm",
    /clone$/,
    { vm: "9000", name: "k-1", start: true, ...settings },
    /lacks only its tag, its cores, its memory, what cloud-init is to tell it and its start \(start_guest\)/,
  ],
  ["clone_vm", /clone$/, { vm: "9000", name: "k-1" }, /lacks only its tag\./],
  [
    "create_vm",
    /qemu$/,
    { name: "k-1", disks: ["local-lvm:4"], start: true },
    /lacks only its start \(start_guest\)/,
  ],
  ["create_vm", /qemu$/, { name: "k-1", disks: ["local-lvm:4"] }, /and nothing is missing/],
])("%s whose answer is lost says what would be missing", async (tool, path, args, text) => {
  lose(path);
  const answer = await server.call(tool, args);
  expect(answer.kind).toBe("outcome_unknown");
  expect(answer.text).toMatch(text);
});

test("create_template whose answer is lost sends to the same call, which goes on", async () => {
  lose(/qemu$/);
  const order = { name: "debian-13", url, storage: "local-lvm", wait_s: 300 };
  const lost = await server.call("create_template", order);
  expect(lost.kind).toBe("outcome_unknown");
  expect(lost.text).toMatch(/Repeat this same call after \d+ s/);
  expect(lost.text).not.toContain("missing");
  await server.clock.advance(120_000);
  expect((await server.call("create_template", order)).text).toContain("is a template");
  expect(server.simulator.log.filter({ method: "POST", path: /qemu$/ })).toHaveLength(1);
});
