import { describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import type { Version } from "../../src/simulator/roles.ts";
import { host } from "./host.ts";

const versions: readonly Version[] = ["8.4", "9.1"];
const interfaces = "/nodes/pve1/qemu/101/agent/network-get-interfaces";
const oci = "/nodes/pve1/storage/local/oci-registry-pull";

describe.each(versions)("PVE %s", (version) => {
  const old = version === "8.4";

  test("says which version it is", async () => {
    const { data } = await host({ version }).get("/version");
    expect(data.release).toBe(version);
    expect(data.version).toMatch(new RegExp(`^${version}\\.`));
  });

  test("puts the text of a refusal into the body as well as into the status line", async () => {
    const pve = host({ version });
    const text = "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist";
    expect(await pve.get("/nodes/pve1/qemu/999/config")).toMatchObject({
      status: 500,
      reason: text,
      body: { data: null, message: `${text}\n` },
    });
  });

  test("has its own names for what is done inside a guest", async () => {
    const pve = host({ version });
    const { data } = await pve.get("/access/permissions", { path: "/" });
    const held = Object.keys(data["/"]);
    expect(held.includes("VM.Monitor")).toBe(old);
    for (const name of ["Audit", "FileRead", "FileWrite", "FileSystemMgmt", "Unrestricted"]) {
      expect(held.includes(`VM.GuestAgent.${name}`)).toBe(!old);
    }
    expect(held.includes("VM.Replicate")).toBe(!old);
    for (const name of ["VM.Audit", "VM.Config.Cloudinit", "SDN.Use", "Mapping.Use"]) {
      expect(held).toContain(name);
    }
  });

  test("judges what is done inside a guest by those names", async () => {
    const pve = host({ version });
    const auditor = await pve.get(interfaces, {}, auditorToken);
    expect([auditor.status, auditor.reason]).toEqual(
      old ? [403, "Permission check failed (/vms/101, VM.Monitor)"] : [200, "OK"],
    );
    expect((await pve.get(interfaces)).status).toBe(200);
  });

  test("has HA groups before 9 and rules since", async () => {
    const pve = host({ version });
    const groups = await pve.get("/cluster/ha/groups");
    const rules = await pve.get("/cluster/ha/rules");
    if (old) {
      expect(groups).toMatchObject({ status: 200, data: [] });
      expect(rules).toMatchObject({
        status: 501,
        reason: "Method 'GET /cluster/ha/rules' not implemented",
      });
    } else {
      expect(groups).toMatchObject({
        status: 500,
        reason: "cannot index groups: ha groups have been migrated to rules",
      });
      expect(rules).toMatchObject({ status: 200, data: [] });
    }
  });

  test("knows what a guest costs its host, and how it waits, only since 9", async () => {
    const pve = host({ version });
    await pve.clock.advance(15_000);
    expect("memhost" in (await pve.row(101))).toBe(!old);
    const { data } = await pve.get("/nodes/pve1/qemu/101/status/current");
    for (const name of ["memhost", "pressurecpusome"]) expect(name in data).toBe(!old);
  });

  test.runIf(old)("has no OCI images", async () => {
    const pve = host({ version });
    const reference = "docker.io/library/alpine:3.22";
    expect((await pve.post(oci, { reference })).status).toBe(501);
  });
});

test("the order of judgement is the same in both: rights, node, parameters, existence", async () => {
  for (const version of versions) {
    const pve = host({ version });
    const path = "/nodes/nosuch/qemu/999/config";
    expect((await pve.get(path, { bogus: 1 }, auditorToken)).status).toBe(500);
    expect((await pve.put(path, { bogus: 1 }, auditorToken)).status).toBe(403);
    expect((await pve.get("/nodes/pve1/qemu/999/config", { bogus: 1 })).status).toBe(400);
  }
});
