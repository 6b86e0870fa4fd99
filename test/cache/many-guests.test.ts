import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { crowd, vmids } from "../../bench/crowd.ts";
import { type Lab, openLab } from "../kit.ts";

const guests = 5_000;
const maxTokens = 2_000;
let server: Lab;

beforeAll(async () => {
  server = await openLab({ world: crowd(Date.UTC(2026, 0, 1, 12), { guests, nodes: 50 }) });
});

afterAll(() => server.close());

const name = (vmid: number) => `app-${vmid}.example.net`;

describe("five thousand guests on fifty nodes", () => {
  test.each<[string, Record<string, unknown>, number]>([
    ["list_guests", {}, guests],
    ["list_guests", { sort: "disk" }, guests],
    ["list_guests", { tag: "web", pool: "customer-3" }, guests / 8],
    ["list_guests", { name: "app-42*" }, 88],
    ["list_guests", { node: "pve-50", type: "lxc" }, guests / 50],
    ["list_guests", { status: "stopped", managed: false }, 454],
  ])("%s %o answers within its budget", async (tool, args, total) => {
    const { data, text } = await server.call(tool, args);
    expect(data["total"]).toBe(total);
    expect(countTokens(text)).toBeLessThanOrEqual(maxTokens);
    expect(countTokens(JSON.stringify(data))).toBeLessThanOrEqual(2 * maxTokens);
  });

  test.each<[string, Record<string, unknown>]>([
    ["get_node", { node: "pve-50" }],
    ["get_vm", { vm: name(103) }],
    ["get_vm", { vm: "app-1.example.net" }],
    ["get_connection_status", {}],
    ["list_storage", {}],
    ["get_tasks", {}],
  ])("%s %o too", async (tool, args) => {
    const { text } = await server.call(tool, args);
    expect(countTokens(text)).toBeLessThanOrEqual(maxTokens);
  });

  test("a name is resolved without a look at the other rows", async () => {
    const { call, proxmox, simulator } = server;
    await call("list_guests");
    const { last } = proxmox.lookup;
    const scanned: string[] = [];
    const rows = last?.guests ?? [];
    expect(rows).toHaveLength(guests);
    // Whoever walks through the rows asks for their iterator, or for a method such as filter.
    const watched = new Proxy(rows, {
      get: (target, key) => {
        scanned.push(String(key));
        return Reflect.get(target, key);
      },
    });
    Object.assign(last ?? {}, { guests: watched });
    for (const vmid of vmids(20)) {
      expect((await call("get_vm", { vm: name(vmid) })).data).toMatchObject({ vmid });
      expect((await call("get_vm", { vm: vmid })).data).toMatchObject({ vmid });
    }
    const container = await call("get_container", { container: "CT-5099.EXAMPLE.NET" });
    expect(container.data).toMatchObject({ vmid: 5_099 });
    expect(scanned).toEqual([]);
    // The closest names to an unknown one are looked for once, and remembered with the miss.
    const missing = await call("get_vm", { vm: "app-1.example.nex" });
    const once = scanned.splice(0);
    const again = await call("get_vm", { vm: "app-1.example.nex" });
    expect(once).not.toEqual([]);
    expect(scanned).toEqual([]);
    expect(again.text).toBe(missing.text);
    // The list has to look at them: so a look would have been seen.
    await call("list_guests");
    expect(scanned).not.toEqual([]);
    expect(simulator.log.count({ path: "/cluster/resources" })).toBe(1);
  });
});
