import { generate } from "selfsigned";
import { seededRandom } from "../src/simulator/random.ts";
import { type Lab, lab } from "./lab.ts";
import { certificateS, keptS, laggingS, promisedByLog, rowsS } from "./promised.ts";
import type { Row } from "./report.ts";

interface Kind {
  readonly what: string;
  /** The longest that a stale answer may be given, s. */
  readonly max: number;
  /** The change and its opposite, by turns. */
  readonly change: (server: Lab, there: boolean, phase: number) => void;
  /** Whether it has happened, where it is a task that takes its time: only from then on an answer is stale. */
  readonly hasHappened?: (server: Lab, there: boolean) => boolean;
  /** What `read` answers when it tells the truth. */
  readonly truth: (there: boolean) => unknown;
  readonly read: (server: Lab, phase: number) => Promise<unknown>;
  /** It takes minutes to show, so fewer phases have to do. */
  readonly slow?: true;
}

const field =
  (path: readonly string[], tool = "get_vm", args = {}) =>
  async (server: Lab) => {
    const { kind, data } = await server.call(tool, { vm: 101, ...args });
    return kind || path.reduce<unknown>((at, key) => Reflect.get(Object(at), key), data);
  };
const container = async (server: Lab) => {
  const { data } = await server.call("get_container", { container: 200 });
  return Reflect.get(Object(data["config"]), "cores");
};

const pems = await Promise.all(
  ["one", "two"].map(async (name) => (await generate([{ name: "commonName", value: name }])).cert),
);
const switched = ({ simulator }: Lab, there: boolean) =>
  simulator.world.guests.get(101)?.run.status === (there ? "stopped" : "running");
const iso = (phase: number) => `disc-${phase}.iso`;

const kinds: readonly Kind[] = [
  {
    what: "a VM reconfigured",
    max: promisedByLog.vmEdit,
    change: ({ simulator }, there) =>
      simulator.outside.setConfig(101, { cores: there ? "7" : "3" }),
    truth: (there) => (there ? 7 : 3),
    read: field(["config", "cores"]),
  },
  {
    what: "a VM renamed",
    max: promisedByLog.vmEdit,
    change: ({ simulator }, there) => simulator.outside.rename(101, there ? "other" : "web-1"),
    truth: (there) => (there ? "other" : "web-1"),
    read: field(["name"]),
  },
  {
    what: "a VM migrated",
    max: rowsS,
    change: ({ simulator }, there) => simulator.outside.migrate(101, there ? "pve3" : "pve1"),
    truth: (there) => (there ? "pve3" : "pve1"),
    read: field(["node"]),
  },
  {
    what: "a VM locked",
    max: rowsS,
    change: ({ simulator: { outside } }, there) =>
      there ? outside.lock(101, "backup") : outside.unlock(101),
    truth: (there) => (there ? "backup" : undefined),
    read: field(["lock"]),
  },
  {
    what: "a guest that powers itself off, one that is started",
    max: laggingS,
    change: ({ simulator: { outside } }, there) => {
      if (there) outside.powerOff(101);
      else outside.start(101);
    },
    hasHappened: switched,
    truth: (there) => (there ? "stopped" : "running"),
    read: field(["status"]),
  },
  {
    what: "a VM stopped or started by a task",
    max: laggingS,
    change: ({ simulator: { outside } }, there) => {
      if (there) outside.stop(101);
      else outside.start(101);
    },
    hasHappened: switched,
    truth: (there) => (there ? "stopped" : "running"),
    read: field(["status"]),
  },
  {
    what: "a file uploaded to a storage",
    max: promisedByLog.content,
    change: ({ simulator }, _there, phase) =>
      void simulator.outside.upload("nfs-shared", "pve1", iso(phase)),
    truth: () => true,
    read: async (server, phase) => {
      const { data } = await server.call("list_storage", { storage: "nfs-shared", limit: 500 });
      const volumes = data["volumes"] as readonly { readonly volid: string }[];
      return volumes.some(({ volid }) => volid.endsWith(iso(phase)));
    },
  },
  {
    what: "a certificate replaced, of which nothing tells",
    max: certificateS,
    change: ({ simulator }, there) =>
      void simulator.outside.replaceCertificate("pve1", pems[there ? 1 : 0] ?? ""),
    truth: (there) => (there ? "two" : "one"),
    read: async (server) => {
      const { data } = await server.call("list_certificates", { node: "pve1" });
      const shown = data["certificates"] as readonly { readonly subject: string }[];
      return shown.map(({ subject }) => /CN=(one|two)/.exec(subject)?.[1]).find(Boolean);
    },
  },
  {
    what: "a VM destroyed, one created in its place",
    max: rowsS,
    change: ({ simulator: { outside } }, there) => {
      if (there) outside.destroy(101);
      else outside.create({ vmid: 101, name: "again", node: "pve1" });
    },
    truth: (there) => (there ? "not_found" : "again"),
    read: field(["name"]),
  },
  {
    what: "a container reconfigured, of which nothing tells",
    max: keptS,
    change: ({ simulator }, there) =>
      simulator.outside.setConfig(200, { cores: there ? "7" : "3" }),
    truth: (there) => (there ? 7 : 3),
    read: container,
    slow: true,
  },
];

const stepMs = 500;

/** How long after another administrator's change a stale answer was given, at the longest, for an agent that asks all the time. */
export async function stale(phases: number): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const kind of kinds) {
    const waits = await delays(kind, kind.slow ? Math.ceil(phases / 4) : phases);
    const average = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const note = `${waits.length} phases, ${average.toFixed(1)} s on average`;
    rows.push({ what: kind.what, max: kind.max, measured: Math.max(...waits), unit: "s", note });
  }
  return rows;
}

async function delays(kind: Kind, phases: number): Promise<readonly number[]> {
  const server = await lab();
  const random = seededRandom();
  const waits: number[] = [];
  for (let phase = 0; phase < phases; phase++) {
    await kind.read(server, phase);
    await server.clock.advance(random() * 10_000);
    const there = phase % 2 === 0;
    kind.change(server, there, phase);
    while (kind.hasHappened?.(server, there) === false) await server.clock.advance(20);
    const began = server.clock.now();
    let lied = began;
    while (server.clock.now() - began <= (kind.max + 30) * 1_000) {
      const answer = await kind.read(server, phase);
      if (answer === kind.truth(there)) break;
      lied = server.clock.now();
      await server.clock.advance(stepMs);
    }
    waits.push((lied - began) / 1_000);
  }
  await server.close();
  return waits;
}
