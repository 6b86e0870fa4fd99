import { performance } from "node:perf_hooks";
import { generate } from "selfsigned";
import { systemClock } from "../src/clock.ts";
import { undiciTransport } from "../src/http/undici-transport.ts";
import { listen } from "../src/simulator/listen.ts";
import { Simulator } from "../src/simulator/simulator.ts";
import { crowd, vmids } from "./crowd.ts";
import { serve } from "./lab.ts";
import { NaiveClient } from "./naive.ts";
import type { Row } from "./report.ts";

/** PEM; a certificate for 127.0.0.1, made on the spot. */
export async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const pems = await generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
    ],
  });
  return { key: pems.private, cert: pems.cert };
}

const looked = vmids(8);
const rounds = 3;

/** How long the same lookups take with this server and with a client that remembers nothing, over HTTPS, by the way's latency. */
export async function wallTimes(latencies: readonly number[]): Promise<readonly Row[]> {
  const pems = await selfSigned();
  const rows: Row[] = [];
  for (const latencyMs of latencies) rows.push(...(await wallTime(latencyMs, pems)));
  return rows;
}

async function wallTime(
  latencyMs: number,
  pems: { readonly key: string; readonly cert: string },
): Promise<readonly Row[]> {
  const world = crowd(Date.now(), { guests: 100, nodes: 4 });
  const simulator = new Simulator({ clock: systemClock, world, latencyMs });
  const listener = await listen(simulator, pems);
  const wire = () => undiciTransport({ url: listener.url, tls: { ca: pems.cert } });
  const naive = new NaiveClient(wire());
  const ours = await serve({ transport: wire(), clock: systemClock });
  const look = async (vmid: number) => {
    const { data } = await ours.call("get_vm", { vm: `app-${vmid}.example.net` });
    if (data["vmid"] !== vmid) throw new Error(`get_vm has not found ${vmid}`);
  };
  const [first = 0, ...others] = looked;
  // Connections are opened before, for both.
  await naive.getVm("app-199.example.net").catch(() => undefined);
  await ours.call("get_connection_status");
  const cold = {
    naive: await taken([first], (vmid) => naive.getVm(`app-${vmid}.example.net`)),
    ours: await taken([first], look),
  };
  const many = Array.from({ length: rounds }, () => others).flat();
  const all = {
    naive: await taken(many, (vmid) => naive.getVm(`app-${vmid}.example.net`)),
    ours: await taken(many, look),
  };
  await ours.close();
  await naive.close();
  await listener.close();
  const row = (what: string, times: typeof all, max?: number): Row => ({
    what: `${latencyMs} ms latency: ${what}`,
    ...(max !== undefined && { max }),
    measured: times.ours / times.naive,
    unit: "×",
    note: `${times.ours.toFixed(0)} ms, naive ${times.naive.toFixed(0)} ms`,
  });
  const many_ = `${many.length} lookups of ${others.length} VMs`;
  return [
    row("one lookup, cold", cold, latencyMs > 0 ? 1 : undefined),
    row(many_, all, latencyMs > 0 ? 0.25 : 0.75),
  ];
}

async function taken(
  items: readonly number[],
  work: (item: number) => Promise<unknown>,
): Promise<number> {
  const began = performance.now();
  for (const item of items) await work(item);
  return performance.now() - began;
}
