import { describe, expect, test } from "vitest";
import { host } from "./host.ts";

const vm = (vmid: number, node: string) => `/nodes/${node}/qemu/${vmid}`;
const ct = (vmid: number, node: string) => `/nodes/${node}/lxc/${vmid}`;

describe("power of VMs", () => {
  test("200 and a UPID prove nothing: a running VM, a template and a locked VM fail in the task", async () => {
    const pve = host();
    const start = (path: string) => pve.outcome(pve.post(`${path}/status/start`));
    expect(await start(vm(101, "pve1"))).toBe("VM 101 already running");
    expect(await start(vm(9000, "pve1"))).toBe("you can't start a vm if it's a template");
    expect(await start(vm(150, "pve2"))).toBe("VM is locked (backup)");
  });

  test("a missing bridge fails the start, a missing EFI disk only warns", async () => {
    const pve = host();
    const path = vm(302, "pve2");
    await pve.put(`${path}/config`, { net1: "virtio,bridge=vmbr9" });
    expect(await pve.outcome(pve.post(`${path}/status/start`))).toBe(
      "bridge 'vmbr9' does not exist",
    );
    await pve.put(`${path}/config`, { delete: "net1", bios: "ovmf" });
    const { data: upid } = await pve.post(`${path}/status/start`);
    expect(await pve.settle(upid)).toBe("WARNINGS: 1");
    expect(await pve.lines(upid)).toEqual([
      "WARN: no efidisk configured! Using temporary efivars disk.",
      "TASK WARNINGS: 1",
    ]);
  });

  test("stop and shutdown of a stopped VM are fine; reset, reboot, suspend and resume are not", async () => {
    const pve = host();
    const path = `${vm(302, "pve2")}/status`;
    expect(await pve.outcome(pve.post(`${path}/stop`))).toBe("OK");
    expect(await pve.outcome(pve.post(`${path}/shutdown`))).toBe("OK");
    for (const verb of ["reset", "reboot", "suspend", "resume"]) {
      expect(await pve.post(`${path}/${verb}`)).toMatchObject({
        status: 500,
        reason: "VM 302 not running",
      });
    }
  });

  test("a guest that ignores ACPI fails the shutdown after its timeout, unless stopped by force", async () => {
    const pve = host();
    const path = `${vm(140, "pve3")}/status`;
    const { data: upid } = await pve.post(`${path}/shutdown`, { timeout: 5 });
    await pve.clock.advance(1000);
    expect(await pve.lines(upid)).toEqual(["no content"]);
    expect(await pve.settle(upid)).toBe("VM quit/powerdown failed - got timeout");
    expect(await pve.outcome(pve.post(`${path}/shutdown`, { timeout: 2, forceStop: 1 }))).toBe(
      "OK",
    );
    expect((await pve.get(`${path}/current`)).data.status).toBe("stopped");
  });

  test("a shutdown holds the file lock: a stop waits 10 s and fails, a config change too, unless overruled", async () => {
    const pve = host();
    const path = vm(140, "pve3");
    const { data: shutdown } = await pve.post(`${path}/status/shutdown`, { timeout: 60 });
    await pve.clock.advance(100);
    const timeout = "can't lock file '/var/lock/qemu-server/lock-140.conf' - got timeout";
    const { data: stop } = await pve.post(`${path}/status/stop`);
    expect(await pve.settle(stop)).toBe(timeout);
    expect((await pve.lines(stop))[0]).toBe("trying to acquire lock...");
    expect((await pve.put(`${path}/config`, { cores: 1 })).reason).toBe(timeout);
    const overrule = { "overrule-shutdown": 1 };
    expect(await pve.outcome(pve.post(`${path}/status/stop`, overrule))).toBe("OK");
    expect(await pve.settle(shutdown)).toBe("received interrupt");
  });

  test("a paused VM is running in status and paused in qmpstatus, and cannot be shut down", async () => {
    const pve = host();
    const path = `${vm(101, "pve1")}/status`;
    const { data: upid } = await pve.post(`${path}/suspend`);
    expect(upid).toContain(":qmpause:101:");
    await pve.settle(upid);
    const { data } = await pve.get(`${path}/current`);
    expect(data).toMatchObject({ status: "running", qmpstatus: "paused" });
    expect((await pve.post(`${path}/shutdown`)).reason).toBe("VM is paused - cannot shutdown");
    expect(await pve.outcome(pve.post(`${path}/resume`))).toBe("OK");
    expect((await pve.get(`${path}/current`)).data.qmpstatus).toBe("running");
  });

  test("suspended to disk it is stopped with a lock, and start goes on", async () => {
    const pve = host();
    const path = vm(101, "pve1");
    const { data: upid } = await pve.post(`${path}/status/suspend`, { todisk: 1 });
    expect(upid).toContain(":qmsuspend:101:");
    expect(await pve.settle(upid)).toBe("OK");
    const { data } = await pve.get(`${path}/status/current`);
    expect(data).toMatchObject({ status: "stopped", lock: "suspended" });
    expect(await pve.outcome(pve.post(`${path}/status/start`))).toBe("OK");
    expect((await pve.get(`${path}/config`)).data.lock).toBeUndefined();
  });

  test("reboot ends when the VM is down; root@pam starts it again a moment later", async () => {
    const pve = host();
    const path = `${vm(101, "pve1")}/status`;
    expect(await pve.outcome(pve.post(`${path}/reboot`))).toBe("OK");
    expect((await pve.get(`${path}/current`)).data.status).toBe("stopped");
    await pve.clock.advance(3000);
    expect((await pve.get(`${path}/current`)).data.status).toBe("running");
    const { data: tasks } = await pve.get("/nodes/pve1/tasks", { typefilter: "qmstart" });
    expect(tasks[0]).toMatchObject({ user: "root@pam", id: "101", status: "OK" });
  });

  test("an HA guest's stop is only queued; the CRM acts up to 10 s later", async () => {
    const pve = host();
    const path = `${vm(152, "pve2")}/status`;
    const { data: upid } = await pve.post(`${path}/stop`);
    expect(upid).toContain(":hastop:152:");
    expect(await pve.settle(upid)).toBe("OK");
    expect((await pve.get(`${path}/current`)).data).toMatchObject({
      status: "running",
      ha: { managed: 1, state: "stopped" },
    });
    await pve.clock.advance(30_000);
    expect((await pve.get(`${path}/current`)).data.status).toBe("stopped");
  });

  test("skiplock is root's alone", async () => {
    const answer = await host().post(`${vm(101, "pve1")}/status/stop`, { skiplock: 1 });
    expect(answer.body?.["errors"]).toEqual({ skiplock: "Only root may use this option." });
  });
});

describe("power of containers", () => {
  test("is refused at once where a VM's fails in the task", async () => {
    const pve = host();
    const path = `${ct(200, "pve1")}/status`;
    expect((await pve.post(`${path}/start`)).reason).toBe("CT 200 already running");
    expect((await pve.post(`${path}/resume`)).reason).toBe("CT 200 already running");
    expect(await pve.outcome(pve.post(`${path}/shutdown`))).toBe("OK");
    expect((await pve.post(`${path}/shutdown`)).reason).toBe("CT 200 not running");
    expect((await pve.post(`${path}/stop`)).reason).toBe("CT 200 not running");
    expect((await pve.post(`${path}/reboot`)).reason).toBe("VM 200 not running");
    const template = pve.post(`${ct(9001, "pve2")}/status/start`);
    expect(await pve.outcome(template)).toBe("you can't start a CT if it's a template");
  });
});
