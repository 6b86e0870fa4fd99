import { expect, test } from "vitest";
import { adminToken } from "../src/simulator/demo-credentials.ts";
import { seededRandom } from "../src/simulator/random.ts";
import type { World } from "../src/simulator/world.ts";
import { addGuest, addToken, emptyWorld } from "../src/simulator/world-builder.ts";
import { agent, type Team, watched } from "./agents/agents.ts";
import { nameOf, Witness } from "./agents/witness.ts";
import { type Lab, lab, tools } from "./kit.ts";

const nodes = ["pve1", "pve2", "pve3", "pve4"];
const start = Date.UTC(2026, 0, 1, 12);

/** A hundred guests, every fifth a container. */
function hundred(): World {
  const world = emptyWorld(start, nodes);
  for (let index = 0; index < 100; index++) {
    addGuest(world, {
      vmid: 100 + index,
      name: `g-${index}`,
      node: nodes[index % nodes.length] ?? "",
      type: index % 5 === 4 ? "lxc" : "qemu",
      ...(index % 3 === 0 ? { runningSince: start - 3_600_000 } : {}),
    });
  }
  addToken(world, {
    id: adminToken.tokenId,
    secret: adminToken.secret,
    roles: { "/": "Administrator" },
  });
  return world;
}

/** Other people: rename, move, reconfigure, stop, start, lock and replace guests, about twice a second. */
async function others({ simulator, clock }: Lab, witness: Witness, until: number, seed: number) {
  const random = seededRandom(seed);
  const { outside, world } = simulator;
  const gone = new Set<number>();
  while (clock.now() < until) {
    await clock.sleep(random() * 1_000);
    const vmid = 100 + Math.floor(random() * (random() < 0.3 ? watched : 100));
    const guest = world.guests.get(vmid);
    if (!guest || gone.has(vmid) || guest.config["lock"] !== undefined) continue;
    const own = `g-${vmid - 100}`;
    const dice = Math.floor(random() * 8);
    if (vmid < 100 + watched)
      outside.setConfig(vmid, { cores: String(1 + (Math.floor(clock.now()) % 97)) });
    else if (dice === 0) outside.rename(vmid, nameOf(guest.config) === own ? `${own}-other` : own);
    else if (dice === 1 && guest.run.status === "stopped")
      outside.migrate(vmid, nodes[Math.floor(random() * nodes.length)] ?? "pve1");
    else if (dice <= 3) outside.setConfig(vmid, { cores: String(1 + Math.floor(random() * 8)) });
    else if (dice === 4 && guest.run.status === "stopped") outside.start(vmid);
    else if (dice === 5 && guest.run.status === "running") outside.stop(vmid);
    else if (dice === 6) {
      outside.lock(vmid, "backup");
      clock.sleep(3_000).then(() => world.guests.get(vmid) === guest && outside.unlock(vmid));
    } else if (dice === 7 && guest.run.status === "stopped" && gone.size < 10) {
      gone.add(vmid);
      outside.retake(vmid, { name: `stranger-${vmid}` });
    }
    witness.look(simulator, clock.now());
  }
  return gone;
}

test.each([1, 2, 3])(
  "sixteen agents and others at once for a minute (seed %i)",
  { timeout: 60_000 },
  async (seed) => {
    const made: Team["made"] = [];
    const witness = new Witness();
    const server = await lab({
      tools,
      world: hundred(),
      latencyMs: 20,
      wire: (simulator, clock) => witness.beside(simulator, () => clock.now()),
    });
    const { clock, simulator } = server;
    const until = clock.now() + 60_000;
    const team = { server, witness, until, made };
    const agents = Array.from({ length: 16 }, (_, number) => agent(number, seed, team));
    const [gone, ...calls] = await clock.run(
      Promise.all([others(server, witness, until, seed), ...agents]),
    );
    await clock.advance(600_000);

    expect(witness.faults).toEqual([]);
    const sum = (calls as number[]).reduce((total, count) => total + count, 0);
    expect(sum).toBeGreaterThan(16 * 10);
    // Nobody lost: whoever was there and was not replaced by others still is.
    const { guests } = simulator.world;
    for (let index = 0; index < 100; index++) {
      const name = nameOf(guests.get(100 + index)?.config ?? {});
      const wanted = (gone as Set<number>).has(100 + index) ? "stranger" : `g-${index}`;
      expect(name, `vmid ${100 + index}`).toMatch(new RegExp(`^${wanted}`));
    }
    // Nothing twice.
    const names = [...guests.values()].map(({ config }) => nameOf(config));
    const news = names.filter((name) => name?.startsWith("new-"));
    expect(new Set(news).size).toBe(news.length);
    expect(made.length).toBeGreaterThan(5);
    // Everything followed to its end.
    expect(witness.begun.size).toBeGreaterThan(30);
    expect([...witness.begun].filter((upid) => !witness.ended.has(upid))).toEqual([]);
  },
);
