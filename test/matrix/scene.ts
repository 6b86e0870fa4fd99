import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { filesBelow } from "../../src/files.ts";
import type { Transport } from "../../src/http/transport.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { demoWorld } from "../../src/simulator/demo.ts";
import { adminToken, type Credentials } from "../../src/simulator/demo-credentials.ts";
import type { LoggedRequest } from "../../src/simulator/request-log.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import type { Guest, Storage, World } from "../../src/simulator/world.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Answer, guestOf, type Lab, lab, tools } from "../kit.ts";

export const outcomes = ["success", "not_found", "forbidden", "locked", "task_failed"] as const;
export type Outcome = (typeof outcomes)[number];

/** What a scene has come to, for its checks. */
export interface Seen {
  readonly answer: Answer;
  readonly server: Lab;
  /** As it is now. */
  readonly world: World;
  /** As it was just before the call. */
  readonly before: World;
  /** What the call sent besides GET. */
  readonly sent: readonly LoggedRequest[];
}

type Arguments = Readonly<Record<string, unknown>>;

export interface Scene {
  readonly args: Arguments;
  /** Arranges the cluster; an object that it answers goes over the arguments. */
  readonly given?: (server: Lab) => Promise<unknown> | unknown;
  /** Happens when Proxmox has accepted the change, before the first step of its task. */
  readonly meanwhile?: (simulator: Simulator) => void;
  /** The caller has every privilege but these. */
  readonly without?: readonly string[];
  /** Where it is missed. */
  readonly on?: string;
  /** What of it the answer must name; default: all of it. */
  readonly names?: readonly string[];
  /** What must be true of answer and cluster afterwards, besides what holds for every scene of its outcome. */
  readonly after?: (seen: Seen) => void;
}

/** The outcome can't come about, and why. */
export interface Never {
  readonly never: string;
}

export type Rows = Readonly<Record<Outcome, Scene | Never>>;
export type Matrix = Readonly<Record<string, Rows>>;

const files = filesBelow(fileURLToPath(new URL(".", import.meta.url)));
const limited: Credentials = {
  tokenId: "limited@pve!agent",
  secret: "77777777-aaaa-4aaa-8aaa-000000000007",
};

/** Plays the scene in a cluster of its own, and holds it against what its outcome promises. */
export async function play(tool: string, outcome: Outcome, scene: Scene): Promise<void> {
  const { without, meanwhile, given } = scene;
  const armed: NonNullable<Scene["meanwhile"]>[] = [];
  const server = await lab({
    tools,
    files,
    world: worldWithout(without ?? []),
    token: without ? limited : adminToken,
    wire: (simulator) => meddling(simulator, () => armed.splice(0)[0]?.(simulator)),
  });
  const more = await given?.(server);
  const before = structuredClone(server.simulator.world);
  if (meanwhile) armed.push(meanwhile);
  const { sent, ...answer } = await server.act(tool, { ...scene.args, ...Object(more) });
  const seen = { answer, server, before, world: server.simulator.world, sent };
  expect(answer.kind, answer.text).toBe(outcome === "success" ? "" : outcome);
  promises[outcome](seen, scene);
  scene.after?.(seen);
}

const promises: Readonly<Record<Outcome, (seen: Seen, scene: Scene) => void>> = {
  success: ({ answer }) => expect(answer.isError).toBe(false),
  not_found: untouched,
  locked: (seen) => {
    untouched(seen);
    expect(seen.answer.text).toContain("is locked (");
  },
  forbidden: ({ answer, before, world, sent }, { without = [], on: path, names = without }) => {
    expect(answer.facts).toMatchObject({ path, privileges: names });
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(answer.text).toContain(name);
    expect(answer.text).toContain(
      `pveum acl modify ${path} --tokens '${limited.tokenId}' --roles `,
    );
    expect(sent.filter(({ status }) => status !== 403)).toEqual([]);
    expect(world).toEqual(before);
  },
  task_failed: ({ answer, sent }) => {
    expect(sent.some(({ status }) => status === 200)).toBe(true);
    expect(answer.data).toEqual({});
    expect(answer.facts["upid"]).toMatch(/^UPID:/);
  },
};

function untouched({ sent, world, before }: Seen): void {
  expect(sent).toEqual([]);
  expect(world).toEqual(before);
}

/** The demo cluster, with a user that may do everything but this. */
function worldWithout(privileges: readonly string[]): World {
  const world = demoWorld(new VirtualClock().now());
  const all = world.roles.get("Administrator") ?? new Set();
  const rest = new Set([...all].filter((name) => !privileges.includes(name)));
  world.roles.set("AllButThese", rest);
  addToken(world, { id: limited.tokenId, secret: limited.secret, roles: { "/": "AllButThese" } });
  return world;
}

/** A wire that calls as soon as a change has been accepted. */
function meddling(simulator: Simulator, accepted: () => void): Transport {
  return {
    close: () => simulator.close(),
    async send(request) {
      const reply = await simulator.send(request);
      if (request.method !== "GET" && reply.status === 200) accepted();
      return reply;
    },
  };
}

export function storage(world: World, id: string): Storage {
  const found = world.storages.get(id);
  if (!found) throw new Error(`no storage ${id}`);
  return found;
}

/** The guest called so, if there is one. */
export function named(world: World, name: string): Guest | undefined {
  return [...world.guests.values()].find(({ config }) =>
    [config["name"], config["hostname"]].includes(name),
  );
}

/** Volumes of which there is nothing before or now, by `node/volid`. */
export function newVolumes({ world, before }: Seen): string[] {
  return [...world.volumes.keys()].filter((key) => !before.volumes.has(key));
}

/** A check that this guest, its disks and its state are what they were; only somebody else's lock may be there. */
export function same(vmid: number): (seen: Seen) => void {
  return ({ world, before }) => {
    const { lock = "backup", ...config } = guestOf(world, vmid).config;
    expect(lock).toBe("backup");
    expect({ ...guestOf(world, vmid), config }).toEqual(guestOf(before, vmid));
    const disks = ({ volumes }: World) =>
      [...volumes].filter(([, { vmid: owner, content }]) => owner === vmid && content !== "backup");
    expect(disks(world)).toEqual(disks(before));
  };
}

/** A check that nothing new is there: no guest, no volume. */
export function nothingNew(seen: Seen): void {
  expect([...seen.world.guests.keys()]).toEqual([...seen.before.guests.keys()]);
  expect(newVolumes(seen)).toEqual([]);
}

/** For `meanwhile`: somebody else locks the guest before the task does. */
export function lockedMeanwhile(vmid: number): (simulator: Simulator) => void {
  return ({ outside }) => outside.lock(vmid, "backup");
}

/** For `given`: somebody else has the guest locked. */
export function lockedBefore(vmid: number): (server: Lab) => void {
  return ({ simulator }) => simulator.outside.lock(vmid, "backup");
}
