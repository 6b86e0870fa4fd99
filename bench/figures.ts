import { crowd, guestsOnlyToken, vmids } from "./crowd.ts";
import { type Lab, type LabOptions, lab } from "./lab.ts";
import type { Row } from "./report.ts";

const hundred = (now: number) => crowd(now, { guests: 100, nodes: 4 });
const thousands = (now: number) => crowd(now, { guests: 5_000, nodes: 50 });
const name = (vmid: number) => `app-${vmid}.example.net`;

/** What looking costs, counted in the log of the simulated host. The clock jumps, so nothing here takes the time it tells of. */
export async function figures(): Promise<readonly Row[]> {
  return [
    ...(await single()),
    await within({}, "50 equal lookups at once, cold", 2, ({ begin, clock }) =>
      clock.run(Promise.all(Array.from({ length: 50 }, () => begin("get_vm", { vm: name(100) })))),
    ),
    ...(await unknown()),
    ...(await lists("100 guests", hundred)),
    ...(await lists("5,000 guests", thousands)),
    await minute("100 get_vm over 20 VMs in 60 s", {}),
    await minute("… after a start of each, 15 s ago", {}, "start"),
    await minute("… after a migration of each, 15 s ago", {}, "migrate"),
    await minute("… without Sys.Syslog and Sys.Audit", { token: guestsOnlyToken }),
    ...(await changed()),
  ];
}

async function single(): Promise<readonly Row[]> {
  const server = await lab({ world: hundred });
  const look = (vmid: number, live = false) =>
    server.cost(() => server.call("get_vm", { vm: name(vmid), ...(live && { max_age_s: 0 }) }));
  const rows = [
    { what: "get_vm by name, cold", max: 2, measured: await look(100) },
    { what: "the same again", max: 0, measured: await look(100) },
    { what: "another VM, inventory warm", max: 1, measured: await look(101) },
    { what: "get_vm live (max_age_s: 0)", max: 3, measured: await look(101, true) },
  ];
  await server.close();
  return rows;
}

async function unknown(): Promise<readonly Row[]> {
  const server = await lab({ world: hundred });
  const ask = () => server.call("get_vm", { vm: "nobody" });
  const cold = await server.cost(ask);
  const again = await server.cost(async () => {
    for (let time = 0; time < 10; time++) {
      await ask();
      await server.clock.advance(990);
    }
  });
  await server.close();
  return [
    { what: "an unknown name, cold", max: 1, measured: cold },
    { what: "ten times within 10 s", max: 0, measured: again },
  ];
}

async function lists(size: string, world: NonNullable<LabOptions["world"]>) {
  const server = await lab({ world });
  const list = (filter: Readonly<Record<string, unknown>>) =>
    server.cost(() => server.call("list_guests", filter));
  const cold = await list({ tag: "web" });
  const filters = [{ name: "app-1*" }, { pool: "customer-1" }, { status: "stopped" }, {}];
  let again = 0;
  for (const filter of filters) again += await list(filter);
  await server.call("get_vm", { vm: name(100) });
  const watched = await server.cost(async () => {
    for (let second = 0; second < 60; second += 4) {
      await server.call("list_guests", { sort: "cpu" });
      await server.clock.advance(4_000);
    }
  });
  await server.close();
  return [
    { what: `list_guests of ${size}, cold`, max: 1, measured: cold },
    { what: "four other filters", max: 0, measured: again },
    { what: `summaries of ${size} watched for 60 s`, max: 14, measured: watched },
  ];
}

async function minute(what: string, options: LabOptions, task?: "start" | "migrate"): Promise<Row> {
  const vms = vmids(20);
  const server = await lab({ world: hundred, ...options });
  const { call, clock, simulator } = server;
  if (task === "start") for (const vmid of vms) simulator.outside.stop(vmid);
  await clock.advance(30_000);
  for (const vmid of vms) {
    if (task === "start") simulator.outside.start(vmid);
    if (task === "migrate") simulator.outside.migrate(vmid, "pve-03");
  }
  // A start takes a second or two.
  if (task) await clock.advance(17_000);
  const measured = await server.cost(async () => {
    for (let asked = 0; asked < 100; asked++) {
      await call("get_vm", { vm: name(vms[asked % 20] ?? 0) });
      await clock.advance(600);
    }
  });
  await server.close();
  return { what, max: 34, measured };
}

/** After a change of ours that guest is read anew, and nobody else. */
async function changed(): Promise<readonly Row[]> {
  const server = await lab({ world: hundred });
  const vms = vmids(20);
  const [one = 0, ...others] = vms;
  for (const vmid of vms) await server.call("get_vm", { vm: vmid });
  await server.call("stop_guest", { guest: name(one), mode: "stop" });
  const looks = async () => {
    for (const vmid of others) await server.call("get_vm", { vm: vmid });
  };
  const rows = [
    { what: "after a change, requests for 19 others", max: 0, measured: await server.cost(looks) },
    {
      what: "… and for that guest",
      min: 1,
      measured: await server.cost(() => server.call("get_vm", { vm: name(one) })),
    },
  ];
  await server.close();
  return rows;
}

async function within(
  options: LabOptions,
  what: string,
  max: number,
  work: (server: Lab) => Promise<unknown>,
): Promise<Row> {
  const server = await lab({ world: hundred, ...options });
  const measured = await server.cost(() => work(server));
  await server.close();
  return { what, max, measured };
}
