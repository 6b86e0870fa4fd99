import { describe, expect, test } from "vitest";
import { roleFor } from "../../src/http/permission.ts";
import { cleanText, explainRefusal, refusal } from "../../src/http/refusal.ts";
import { refusalTable } from "../../src/http/refusal-table.ts";
import type { ProblemKind } from "../../src/problem.ts";

const refused = { what: "GET /x", principal: "agent@pve!mcp", scrub: (text: string) => text };

function told(status: number, message: string, errors?: Record<string, string>) {
  const body = JSON.stringify({ data: null, message, ...(errors && { errors }) });
  const reason = message.split("\n")[0] ?? "";
  return refusal({ status, reason, headers: {}, body }, refused);
}

/** At least one text a row of the table, in the table's order. */
const texts: readonly (readonly [string, ProblemKind, object])[] = [
  [
    "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist\n",
    "not_found",
    { missingConfig: true, node: "pve1", vmid: 101, type: "qemu" },
  ],
  [
    "Configuration file 'nodes/pve1/lxc/7.conf' does not exist",
    "not_found",
    { missingConfig: true, vmid: 7, type: "lxc" },
  ],
  ["VM is locked (backup)", "locked", { lock: "backup" }],
  ["CT is locked (snapshot-delete)", "locked", { lock: "snapshot-delete" }],
  ["cluster not ready - no quorum?", "busy", { quorum: false }],
  ["cfs-lock 'file-user_cfg' error: no quorum!", "busy", { quorum: false }],
  ["can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", "busy", {}],
  ["create pool failed: cfs-lock 'file-user_cfg' error: got lock request timeout", "busy", {}],
  ["Failed to obtain guest migration lock - replication running?", "busy", {}],
  ["got no worker upid - start worker failed", "busy", {}],
  ["checksum mismatch (file change by other user?)", "conflict", { digest: true }],
  [
    "detected modified configuration - file changed by other user? Try again.",
    "conflict",
    { digest: true },
  ],
  ["only root can set 'hookscript' config", "forbidden", { rootOnly: true }],
  [
    "changing feature flags (except nesting) is only allowed for root@pam",
    "forbidden",
    { rootOnly: true },
  ],
  ["QEMU guest agent is not running", "conflict", { agent: false }],
  ["No QEMU guest agent configured", "conflict", { agent: false }],
  ["VM 150 is running - destroy failed", "conflict", { running: true }],
  ["unable to destroy CT 250 - container is running", "conflict", { running: true }],
  ["CT 250 already running", "conflict", { running: true }],
  ["VM 150 not running", "conflict", { running: false }],
  ["can't remove VM 100 - protection mode enabled", "conflict", { protected: true }],
  ["cannot remove protected volume 'x' on 'local'", "conflict", { protected: true }],
  ["Full clone of a running container is only possible from a snapshot", "conflict", {}],
  ["unable to create VM 100 - VM 100 already exists on node 'pve'", "conflict", {}],
  ["Custom certificate file exists but force flag is not set.\n\n", "conflict", {}],
  ["Custom certificate exists but 'force' is not set.", "conflict", { certificate: "exists" }],
  ["base volume 'local:102/x' is still in use by linked cloned", "conflict", {}],
  ["VM is paused - cannot shutdown", "conflict", { paused: true }],
  ["you can't start a vm if it's a template", "conflict", { template: true }],
  [
    "unable to remove VM 100 - used in HA resources and purge parameter not set.",
    "conflict",
    { ha: true },
  ],
  ["unable to create template, because VM contains snapshots", "conflict", {}],
  ["can't rollback, 'x' is not most recent snapshot on 'zfs:vm-1-disk-0'", "conflict", {}],
  [
    "update pools failed: VM 100 belongs already to pool 'prod' and 'allow-move' is not set",
    "conflict",
    { pool: "prod" },
  ],
  ["delete pool failed: pool 'p2' is not empty (contains VM 101)", "conflict", { pool: "p2" }],
  ["hotplug problem - unable to hotplug net0", "conflict", { hotplug: false }],
  ["can't migrate running VM without --online", "conflict", { running: true }],
  ["ACME domain list in node configuration is missing!", "conflict", {}],
  ["Cannot write to '/var/tmp/x' (No space left on device).", "conflict", { full: true }],
  ["hostname lookup 'nope' failed - failed to get address info", "not_found", { node: "nope" }],
  ["no such cluster node 'nosuch'", "not_found", { node: "nosuch" }],
  ["storage 'iso-only' is disabled", "conflict", { storage: "iso-only" }],
  ["storage 'nope' does not exist", "not_found", { storage: "nope" }],
  ["storage 'local-btrfs' is not configured for content-type 'iso'", "invalid_input", {}],
  ["storage 'local' does not support container directories", "invalid_input", {}],
  ["unable to use volume x - content type needs to be 'vztmpl'", "invalid_input", {}],
  ["invalid server response: '404 Not Found'", "invalid_input", {}],
  ["download failed: exit code 8", "task_failed", {}],
  ["parameter 'storage' not allowed for linked clones", "invalid_input", {}],
  ["Linked clone feature is not supported for 'x' (scsi0)", "unsupported", {}],
  ["can't clone VM to node 'pve2' (VM uses local storage)", "unsupported", {}],
  ["snapshot feature is not supported", "unsupported", {}],
  ["can't clone to non-shared storage 'x'", "unsupported", {}],
  ["shrinking disks is not supported", "unsupported", {}],
  ["unable to shrink disk size", "unsupported", {}],
  ["cannot index groups: ha groups have been migrated to rules", "unsupported", {}],
  ["snapshot feature is not available", "unsupported", {}],
  ["no options specified", "invalid_input", {}],
  ["Setting certificate files failed - unable to read certificate", "invalid_input", {}],
  ["missing value for required option 'path'", "invalid_input", { option: "path" }],
  ["unable to use snapshot name 'current' (reserved name)", "invalid_input", {}],
  ["disk is already at specified size", "invalid_input", {}],
  ["snapshot 'nope' does not exist", "not_found", { snapshot: "nope" }],
  [
    "unable to create VM 156 - volume 'local:iso/nope.iso' does not exist",
    "not_found",
    { volume: "local:iso/nope.iso" },
  ],
  ["volume_size_info on 'local:iso/x' failed - no format", "not_found", { volume: "local:iso/x" }],
  ["delete pool failed: pool 'p2' does not exist", "not_found", { pool: "p2" }],
  ["bridge 'vmbr9' does not exist", "not_found", { bridge: "vmbr9" }],
  ["disk 'scsi9' does not exist", "not_found", { disk: "scsi9" }],
  ["no such task", "not_found", {}],
  [
    "Agent error: failed to open file '/nope' (mode: 'r'): No such file or directory",
    "not_found",
    { file: "/nope" },
  ],
  ["no rule at position 9", "not_found", {}],
  ["cannot delete service 'vm:100', not HA managed!", "not_found", {}],
  ["VM quit/powerdown failed - got timeout", "timeout", {}],
  ["VM 100 qga command 'guest-exec' failed - got timeout", "timeout", {}],
  ["no such user ('none@pve')", "not_found", {}],
  ["Timeout while waiting for port '5901' to get ready!", "timeout", {}],
];

describe("a refusal", () => {
  test.each(texts)("%j is %s", (text, kind, facts) => {
    const problem = told(500, text);
    expect(problem).toMatchObject({ kind, facts });
    expect(problem.message).toContain(`Proxmox says: ${text.trim()}`);
    expect(explainRefusal(text)?.kind).toBe(kind);
  });

  test("of every row of the table is met by one of these", () => {
    const first = (text: string) => refusalTable.find((row) => row.pattern.test(text));
    const met = new Set(texts.map(([text]) => first(text)));
    expect(refusalTable.filter((row) => !met.has(row)).map((row) => row.pattern)).toEqual([]);
  });

  test("that nobody knows is upstream", () => {
    expect(told(500, "Can't use an undefined value as a HASH reference").kind).toBe("upstream");
    expect(explainRefusal("job errors")).toBeUndefined();
  });

  test("of what is too much, or is no form, says so", () => {
    expect(told(501, "for data too large")).toMatchObject({ kind: "invalid_input" });
    expect(told(413, "too large").next).toContain("Send less");
    expect(told(506, "upload 'Content-Type 'text/plain' not implemented").next).toContain("form");
  });

  test("of a path or method is unsupported", () => {
    expect(told(501, "Method 'GET /foo' not implemented").kind).toBe("unsupported");
    expect(told(404, "Not Found").kind).toBe("unsupported");
  });

  test("is read from the reason phrase where an old host sends no body", () => {
    const problem = refusal(
      { status: 500, reason: "VM is locked (clone)", headers: {}, body: "" },
      refused,
    );
    expect(problem).toMatchObject({ kind: "locked", facts: { lock: "clone" } });
  });
});

describe("refused parameters", () => {
  const failed = "Parameter verification failed.\n";

  test("are named with what is wrong about each", () => {
    const problem = told(400, failed, {
      net0: "invalid format - format error\nnet0.model: property is missing and it is not optional\n",
      cores: "value must have a minimum value of 1",
    });
    expect(problem.kind).toBe("invalid_input");
    expect(problem.facts["errors"]).toEqual({
      net0: "invalid format - format error net0.model: property is missing and it is not optional",
      cores: "value must have a minimum value of 1",
    });
    expect(problem.message).toContain("cores: value must have a minimum value of 1");
  });

  test.each([
    ["vmid", "VM 100 already exists", "conflict"],
    ["upid", "no such task", "not_found"],
    ["upid", "unable to parse worker upid", "invalid_input"],
    ["storage", "No such storage.", "not_found"],
    ["tokenid", "Token already exists.", "conflict"],
    ["skiplock", "Only root may use this option.", "forbidden"],
  ])("%s: %s is %s", (name, text, kind) => {
    expect(told(400, failed, { [name]: text }).kind).toBe(kind);
  });
});

describe("missing permission", () => {
  test("names path and privilege and the command that grants it to token and user", () => {
    const problem = told(403, "Permission check failed (/vms/100, VM.Audit)\n");
    expect(problem).toMatchObject({
      kind: "forbidden",
      facts: { path: "/vms/100", privileges: ["VM.Audit"] },
    });
    expect(problem.next).toContain(
      "pveum acl modify /vms/100 --tokens 'agent@pve!mcp' --roles PVEAuditor",
    );
    expect(problem.next).toContain("--users 'agent@pve' --roles PVEAuditor");
  });

  test("of which any is enough lists them all", () => {
    const problem = told(403, "Permission check failed (/, Sys.Audit|Sys.Modify)\n");
    expect(problem.facts).toMatchObject({ path: "/", privileges: ["Sys.Audit", "Sys.Modify"] });
  });

  test("for one thing only is named all the same", () => {
    const problem = told(403, "Permission check failed (/, Sys.Modify for modifying tag 'x')\n");
    expect(problem.facts).toMatchObject({ path: "/", privileges: ["Sys.Modify"] });
  });

  test("on a path that PVE cannot make is a wrong name", () => {
    const problem = told(403, "Permission check failed (, Sys.Audit)\n");
    expect(problem).toMatchObject({ kind: "invalid_input", facts: { status: 403 } });
    expect(problem.next).not.toContain("pveum");
  });

  test.each([
    ["POST /nodes/pve1/qemu/100/clone", "VM.Allocate", "/vms", "PVEVMAdmin"],
    ["POST /nodes/pve1/lxc", "VM.Allocate", "/vms", "PVEVMAdmin"],
    ["GET /nodes/pve1/query-url-metadata", "Sys.AccessNetwork", "/nodes/pve1", "Administrator"],
  ])("that %s does not name is named", (what, privilege, path, role) => {
    const reason = "Permission check failed";
    const problem = refusal({ status: 403, reason, headers: {}, body: "" }, { ...refused, what });
    expect(problem).toMatchObject({ kind: "forbidden", facts: { path, privileges: [privilege] } });
    expect(problem.message).toContain(`${what} needs ${privilege} on `);
    expect(problem.next).toContain(
      `pveum acl modify ${path} --tokens 'agent@pve!mcp' --roles ${role}`,
    );
  });

  test("of a login is granted to the user", () => {
    const reason = "Permission check failed (/vms/1, VM.Clone)";
    const login = { ...refused, principal: "anna@pam" };
    const { next } = refusal({ status: 403, reason, headers: {}, body: "" }, login);
    expect(next).toBe(
      "Grant it on the host: pveum acl modify /vms/1 --users 'anna@pam' --roles PVETemplateUser.",
    );
  });

  test.each([
    ["Permission check failed", "forbidden"],
    ["Permission check failed (user != root@pam)", "forbidden"],
    ["Permission check failed (pool 'nope' does not exist)", "not_found"],
    [
      "Permission check failed (URI '/access/password' not available with API token, need proper ticket.\n)\n",
      "forbidden",
    ],
  ])("in the form %j is %s", (text, kind) => {
    expect(told(403, text).kind).toBe(kind);
  });

  test("is granted with the smallest role that holds it", () => {
    const wanted = {
      "VM.Audit": "PVEAuditor",
      "Sys.Audit": "PVEAuditor",
      "VM.PowerMgmt": "PVEVMUser",
      "VM.Allocate": "PVEVMAdmin",
      "VM.Config.Memory": "PVEVMAdmin",
      "VM.Snapshot.Rollback": "PVEVMAdmin",
      "Datastore.AllocateSpace": "PVEDatastoreUser",
      "Datastore.AllocateTemplate": "PVEDatastoreAdmin",
      "Sys.Syslog": "PVESysAdmin",
      "Sys.Modify": "Administrator",
      "SDN.Use": "PVESDNUser",
      "Mapping.Use": "PVEMappingUser",
      "Pool.Allocate": "PVEPoolAdmin",
      "User.Modify": "PVEUserAdmin",
    };
    expect(Object.fromEntries(Object.keys(wanted).map((one) => [one, roleFor(one)]))).toEqual(
      wanted,
    );
  });
});

test("a login that is not accepted says what to check", () => {
  const problem = refusal(
    { status: 401, reason: "Authentication failed!", headers: {}, body: "" },
    refused,
  );
  expect(problem.kind).toBe("unauthorized");
  expect(problem.next).toMatch(/secret.*expired.*enabled/);
});

test("what others say is one harmless line of bounded length", () => {
  const text = cleanText(
    `\u001b[31mred\u001b[0m\u0007 \u202eright\u200b\tto\nleft ${"x".repeat(600)}`,
  );
  expect(text).toMatch(/^red right to left x+…$/);
  expect(Array.from(text)).toHaveLength(500);
});
