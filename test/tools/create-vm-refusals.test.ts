import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { addImage, type Lab, lab } from "../kit.ts";

const image = "local:import/debian.qcow2";
const iso = "local:iso/debian-13.2.0-amd64-netinst.iso";
const disks = ["local-lvm:8"];

let server: Lab;

beforeEach(async () => {
  server = await lab();
  addImage(server, "pve2", image);
  await server.call("list_guests");
});

const create = (args: Record<string, unknown> = {}) =>
  server.call("create_vm", { name: "new-1", ...args });

async function refused(args: Record<string, unknown>) {
  const { kind, text } = await create(args);
  expect(server.simulator.log.changes()).toEqual([]);
  return `${kind}: ${text}`;
}

describe("refused before anything is sent", () => {
  test.each([
    ["a name that is taken", { name: "web-1", disks }, /^conflict.*VM 101/s],
    ["a name that is a container's", { name: "DNS-1", disks }, /^conflict/],
    ["a storage that is not there", { disks: ["local-lv:8"] }, /^not_found.*local-lvm/s],
    ["a storage of other content", { disks: ["local:8"] }, /^invalid_input.*local-lvm, nfs/s],
    ["a disk without a storage", { disks: ["32"] }, /^invalid_input.*storage:size/s],
    [
      "an image that is not there",
      { disks: ["local-lvm:0,import-from=local:import/debiam.qcow2"] },
      /^not_found.*debian\.qcow2.*download_storage/s,
    ],
    [
      "another's disk",
      { disks: ["local-lvm:vm-101-disk-0"] },
      /^conflict.*guest 101.*import-from/s,
    ],
    [
      "a path as an image",
      { disks: ["local-lvm:0,import-from=/root/x.qcow2"] },
      /^invalid_input.*root@pam/s,
    ],
    ["an ISO that is not there", { disks, iso: "local:iso/nope.iso" }, /^not_found/],
    ["a node that is not there", { disks, node: "pve9" }, /^not_found.*pve1/s],
    ["a file that is on another node", { disks, iso, node: "pve2" }, /^not_found/],
    ["an unknown option", { disks, options: { onbot: 1 } }, /^invalid_input.*onboot/s],
    ["a password among the options", { disks, options: { cipassword: "x" } }, /argument password/],
    ["an index too high", { disks, options: { net32: "virtio" } }, /^invalid_input/],
    ["a private key", { disks, ssh_keys: ["-----BEGIN OPENSSH PRIVATE KEY-----"] }, /private key/],
    ["half a key", { disks, ssh_keys: ["ssh-ed25519 nonsense"] }, /no public key/],
    [
      "an address without prefix",
      { disks, ips: ["192.0.2.5"] },
      /^invalid_input.*192\.0\.2\.5\/24/s,
    ],
    ["a gateway of another kind", { disks, ips: ["192.0.2.5/24,gw=nope"] }, /^invalid_input/],
    ["a gateway with dhcp", { disks, ips: ["dhcp,gw=192.0.2.1"] }, /^invalid_input/],
    ["a name server that is none", { disks, nameservers: ["dns"] }, /^invalid_input/],
    ["firmware without a disk", { bios: "ovmf" }, /^invalid_input.*disk/s],
    ["a raw device", { disks, pci: ["0000:01:00.0"] }, /^invalid_input.*mapping/s],
    ["a tag that is none", { disks, tags: ["not a tag"] }, /^invalid_input/],
    ["the same drive twice", { disks: ["scsi1=local-lvm:1", "scsi1=local-lvm:1"] }, /twice/],
  ])("%s", async (_, args, text) => {
    expect(await refused(args)).toMatch(text);
  });

  test("a node that is offline, and one that lacks the storage", async () => {
    const { nodes, storages } = server.simulator.world;
    Object.assign(nodes.get("pve3") ?? {}, { online: false });
    Object.assign(storages.get("local-lvm") ?? {}, { nodes: ["pve1", "pve3"] });
    await server.clock.advance(20_000);
    expect(await refused({ disks, node: "pve3" })).toMatch(/^unreachable/);
    expect(await refused({ disks, node: "pve2" })).toMatch(/^not_found/);
    expect(await refused({ disks: [`local-lvm:0,import-from=${image}`] })).toMatch(
      /^conflict: .*No node/,
    );
  });
});

describe("refused by Proxmox", () => {
  test("without the right: names the privilege and the command, leaves nothing", async () => {
    const secret = "99999999-0000-4000-8000-000000000009";
    addToken(server.simulator.world, {
      id: "maker@pve!t",
      secret,
      roles: { "/vms": "PVEVMAdmin", "/storage": "PVEAuditor", "/nodes": "PVEAuditor" },
    });
    const own = await lab({
      world: server.simulator.world,
      token: { tokenId: "maker@pve!t", secret },
    });
    const { kind, text } = await own.call("create_vm", { name: "new-1", disks });
    expect(kind).toBe("forbidden");
    expect(text).toContain("Datastore.AllocateSpace");
    expect(text).toContain("pveum acl modify /storage/local-lvm");
    expect((await own.call("get_vm", { vm: "new-1" })).kind).toBe("not_found");
    const auditor = await lab({ token: auditorToken });
    const audited = await auditor.call("create_vm", { name: "new-1", disks });
    expect(audited.text).toMatch(/^forbidden.*VM\.Allocate.*pveum acl modify \/vms/s);
  });

  test("in the task: task_failed, and neither guest nor name is left", async () => {
    const begun = server.begin("create_vm", { name: "new-1", disks, iso });
    await server.clock.advance(0);
    server.simulator.world.volumes.delete(`pve1/${iso}`);
    const { kind, text } = await server.clock.run(begun);
    expect(kind).toBe("task_failed");
    expect(text).toContain("does not exist");
    expect((await server.call("get_vm", { vm: "new-1" })).kind).toBe("not_found");
    expect((await create({ disks })).kind).toBe("");
  });

  test("with the answer lost: outcome_unknown, and nothing is sent again", async () => {
    server.simulator.faults.cutAfterWorld({ method: "POST", times: 1 });
    const { kind } = await create({ disks });
    expect(kind).toBe("outcome_unknown");
    expect(server.simulator.log.count({ method: "POST" })).toBe(1);
  });

  test("the same name twice at once makes one", async () => {
    const call = () => server.begin("create_vm", { name: "new-1", disks });
    const answers = await server.clock.run(Promise.all([call(), call()]));
    expect(answers.map(({ kind }) => kind).toSorted()).toEqual(["", "conflict"]);
    expect(server.simulator.log.count({ method: "POST" })).toBe(1);
  });
});
