import { expect, test } from "vitest";
import { keptS, type Promised, promisedByLog } from "../../bench/promised.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { demoWorld } from "../../src/simulator/demo.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { selfSigned } from "../certificate.ts";
import { type Lab, lab } from "../kit.ts";
import { afterOurs } from "./phases/after-ours.ts";
import { appearances, attributes, edits, others, states } from "./phases/changes.ts";
import { type Longest, watch } from "./phases/watch.ts";

/** Phases of each kind of change, drawn from a fixed seed. */
const rounds = 200;

let server: Lab;

const everything = { "/": "Administrator" };
const looking = { "/": "PVEAuditor", "/vms": "PVEVMUser" };
const guestsOnly = { "/vms": "PVEVMUser", "/storage": "PVEDatastoreUser", "/pool": "PVEPoolUser" };

test.each<[string, string, Record<string, string>, Promised]>([
  ["the cluster's log", "log", everything, promisedByLog],
  ["the task list", "tasks", looking, { vmEdit: keptS, content: 30 }],
  ["nothing but rows", "none", guestsOnly, { vmEdit: keptS, content: 60 }],
])(
  "who may see %s is not answered with what others have changed longer ago than promised",
  async (_, source, roles, promised) => {
    const token = { tokenId: "watcher@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    const world = demoWorld(new VirtualClock().now());
    addToken(world, { id: token.tokenId, secret: token.secret, roles });
    server = await lab({ world, token, logCapacity: 1_000 });
    const made = await Promise.all(["one", "two", "three"].map((name) => selfSigned(name)));
    const certificates = made.map(({ cert }) => cert);
    const changes = [
      ...appearances(server),
      ...attributes(server, promised),
      ...states(server),
      ...afterOurs(server),
      ...edits(server, promised),
      ...others(server, promised, certificates),
    ];
    await server.clock.advance(15_000);
    const longest = await watch(server, changes, rounds);
    process.stdout.write(told(source, longest));
    const { data } = await server.call("get_connection_status");
    expect(data["news"]).toBe(source);
    expect(longest.filter(({ staleS, boundS }) => staleS > boundS)).toEqual([]);
    expect(longest.filter((one) => one.rounds < rounds)).toEqual([]);
  },
  600_000,
);

function told(source: string, longest: readonly Longest[]): string {
  const lines = longest.map(
    ({ says, staleS, boundS }) => `  ${staleS.toFixed(1)} of ${boundS} s: ${says}`,
  );
  return `longest stale answers in ${rounds} phases each (news by ${source}):\n${lines.join("\n")}\n`;
}
