import { describe, expect, test } from "vitest";
import { roleFor } from "../../src/http/permission.ts";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { type Lab, type LabOptions, lab, tools } from "../kit.ts";

function start(options: LabOptions): Promise<Lab> {
  return lab({ tools, ...options });
}

const image =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const include = ["ha", "firewall", "backups", "agent", "pending", "snapshots"];
const calls: readonly (readonly [string, Record<string, unknown>])[] = [
  ["list_guests", { limit: 5 }],
  ["get_vm", { vm: "web-1", include }],
  ["get_container", { container: "dns-1", include }],
  ["get_cluster", {}],
  ["get_node", { node: "pve1" }],
  ["list_storage", {}],
  ["list_storage", { storage: "nfs-shared" }],
  ["list_certificates", {}],
  ["get_connection_status", {}],
  ["clone_vm", { vm: "debian-13-template", name: "copy-1", start: true }],
  ["create_snapshot", { guest: "copy-1", prefix: "auto" }],
  ["update_guest", { guest: "copy-1", set: { cores: 4, notes: "x", net0: "tag=7" } }],
  ["restart_guest", { guest: "copy-1", mode: "reset" }],
  ["attach_disk", { guest: "copy-1", size: "1G", storage: "local-lvm" }],
  ["resize_disk", { guest: "copy-1", disk: "scsi1", size: "+1G" }],
  ["move_disk", { guest: "copy-1", disk: "scsi1", storage: "nfs-shared" }],
  ["detach_disk", { guest: "copy-1", disk: "scsi1", confirm: "copy-1" }],
  ["stop_guest", { guest: "copy-1", mode: "stop" }],
  ["delete_guest", { guest: "copy-1", confirm: "copy-1" }],
  ["update_guest", { guest: "dns-1", set: { memory: 1024 } }],
  ["convert_to_template", { guest: "build-2", confirm: "build-2" }],
  ["create_vm", { name: "made-1", disks: ["local-lvm:1"], nics: ["vmbr0"], start: true }],
  ["create_container", { name: "made-2", template: "debian-13-standard", rootfs: "local-lvm:1" }],
  ["create_template", { name: "made-3", url: image, storage: "local-lvm", wait_s: 300 }],
  ["clone_container", { container: "debian-13-ct-template", name: "copy-2" }],
  ["get_tasks", {}],
];

describe.each(["8.4", "9.1"] as const)("PVE %s", (version) => {
  test("serves every tool", async () => {
    const server = await start({ version });
    for (const [tool, args] of calls) {
      const { isError, text } = await server.call(tool, args);
      expect([tool, isError && text]).toEqual([tool, false]);
    }
    const { data } = await server.call("get_connection_status");
    expect(JSON.stringify(data)).toContain(`"${version}.`);
    expect(server.simulator.log.filter({ status: 501 })).toEqual([]);
  });

  test("has the role that is named for every privilege it has, and no smaller one", async () => {
    const { roles } = (await start({ version })).simulator.world;
    const privileges = [...(roles.get("Administrator") ?? [])];
    expect(privileges).toContain(version === "8.4" ? "VM.Monitor" : "VM.GuestAgent.Audit");
    const sizes = (privilege: string) =>
      [...roles].filter(([, held]) => held.has(privilege)).map(([, held]) => held.size);
    const wrong = privileges.filter((privilege) => {
      const role = roles.get(roleFor(privilege));
      // To look is granted by the role that can do nothing else, though others are shorter.
      if (privilege.endsWith(".Audit"))
        return !role?.has(privilege) || role !== roles.get("PVEAuditor");
      return !role?.has(privilege) || role.size > Math.min(...sizes(privilege));
    });
    expect(wrong.map((privilege) => [privilege, roleFor(privilege)])).toEqual([]);
  });

  test("tells who may only look what each change needs, in its own words", async () => {
    const server = await start({ version, token: auditorToken });
    const { roles } = server.simulator.world;
    for (const [tool, args, privilege] of [
      ["start_guest", { guest: "staging-web-2" }, "VM.PowerMgmt"],
      ["create_snapshot", { guest: "web-1", name: "x1" }, "VM.Snapshot"],
      ["clone_vm", { vm: "debian-13-template", name: "copy-1" }, "VM.Clone"],
      ["create_vm", { name: "made-1", disks: ["local-lvm:1"] }, "VM.Allocate"],
    ] as const) {
      const { kind, text, facts } = await server.call(tool, args);
      expect([tool, kind, facts["privileges"]]).toEqual([tool, "forbidden", [privilege]]);
      expect(text).toContain(`--roles ${facts["role"]}`);
      expect(roles.get(String(facts["role"]))?.has(privilege)).toBe(true);
    }
  });
});
