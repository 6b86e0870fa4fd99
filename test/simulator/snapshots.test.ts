import { expect, test } from "vitest";
import { host } from "./host.ts";

const vm = "/nodes/pve2/qemu/302";

test("a snapshot is taken, rolled back to and removed in tasks; its children move up", async () => {
  const pve = host();
  const take = (snapname: string) => pve.outcome(pve.post(`${vm}/snapshot`, { snapname }));
  expect(await take("one")).toBe("OK");
  expect(await take("one")).toBe("snapshot name 'one' already used");
  expect((await pve.post(`${vm}/snapshot`, { snapname: "current" })).reason).toBe(
    "unable to use snapshot name 'current' (reserved name)",
  );
  expect((await pve.post(`${vm}/snapshot`, { snapname: "1 bad" })).body?.["errors"]).toEqual({
    snapname: "invalid format - invalid configuration ID '1 bad'\n",
  });
  await pve.put(`${vm}/config`, { cores: 7 });
  expect(await take("two")).toBe("OK");
  expect(await pve.outcome(pve.post(`${vm}/snapshot/one/rollback`))).toBe("OK");
  expect((await pve.get(`${vm}/config`)).data).toMatchObject({ cores: 2, parent: "one" });
  expect(await pve.outcome(pve.del(`${vm}/snapshot/one`))).toBe("OK");
  const { data } = await pve.get(`${vm}/snapshot`);
  expect(data.map(({ name, parent }: { name: string; parent?: string }) => [name, parent])).toEqual(
    [
      ["two", undefined],
      ["current", undefined],
    ],
  );
  expect(await pve.outcome(pve.del(`${vm}/snapshot/nope`))).toBe("snapshot 'nope' does not exist");
});

test("a template is made of a stopped guest without snapshots; a container's task is not told", async () => {
  const pve = host();
  const refused = async (path: string) => (await pve.post(`${path}/template`)).reason;
  expect(await refused("/nodes/pve1/qemu/9000")).toBe("you can't convert a template to a template");
  expect(await refused("/nodes/pve1/qemu/101")).toBe(
    "you can't convert a VM to template if VM is running",
  );
  expect(await refused("/nodes/pve1/qemu/151")).toBe(
    "unable to create template, because VM contains snapshots",
  );
  expect(await pve.outcome(pve.post(`${vm}/template`))).toBe("OK");
  expect((await pve.get(`${vm}/config`)).data).toMatchObject({ template: 1 });
  expect((await pve.get(`${vm}/config`)).data.scsi0).toMatch(/^local-lvm:base-302-disk-0,/);
  const container = await pve.post("/nodes/pve3/lxc/311/template");
  expect(container).toMatchObject({ status: 200, data: null });
  await pve.clock.advance(1000);
  expect((await pve.get("/nodes/pve3/lxc/311/config")).data.template).toBe(1);
});
