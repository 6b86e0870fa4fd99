import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import * as z from "zod";
import { filesBelow } from "../src/files.ts";
import { type Transport, WireFault, type WireReply } from "../src/http/transport.ts";
import { Problem } from "../src/problem.ts";
import { demoWorld } from "../src/simulator/demo.ts";
import { adminLogin, adminToken, type Login } from "../src/simulator/demo-credentials.ts";
import { seededRandom } from "../src/simulator/random.ts";
import type { World } from "../src/simulator/world.ts";
import { addToken } from "../src/simulator/world-builder.ts";
import { defineTool, type Tool, type ToolContext } from "../src/tool.ts";
import { selfSigned } from "./certificate.ts";
import { validCalls } from "./fuzz/calls.ts";
import { Dice } from "./fuzz/mutations.ts";
import { type LabOptions, lab, tools } from "./kit.ts";

/** The secret of the token that everything here is done with. */
const canary = "5ca1ab1e-0000-4000-8000-00000000cafe";
const { tokenId } = adminToken;
const token = { tokenId, secret: canary };
const header = `PVEAPIToken=${tokenId}=${canary}`;
const pem = await selfSigned("pve1");

/** The forms in which a secret would still be one. */
const forms = [
  canary,
  encodeURIComponent(canary),
  canary.toUpperCase(),
  Buffer.from(canary).toString("base64").replace(/=+$/, ""),
  Buffer.from(header).toString("base64").replace(/=+$/, ""),
];
/** The body of a private key that was given as an argument; its first line is the same for all keys of a kind. */
const keyLine = pem.key.split("\n")[2]?.trim() ?? "";

/** Everything that has left the server: to the client, as it stands on the wire, and to the log. */
interface Heard {
  readonly sent: readonly string[];
  readonly logged: readonly string[];
}

function leaks(
  { sent, logged }: Heard,
  secrets: readonly string[] = [...forms, keyLine],
): string[] {
  const found = [...sent, ...logged].filter((line) => secrets.some((one) => line.includes(one)));
  return found.map((line) => line.slice(0, 1_500));
}

interface Weather extends LabOptions {
  /** Comes over the cluster when the server has connected. */
  readonly after?: (server: Awaited<ReturnType<typeof lab>>) => void;
  /** Whether the caller does not name the secret itself. */
  readonly quiet?: boolean;
}

/** Lists all tools and calls each a few times, as a client that wants to hear of progress. */
async function everything({
  after,
  quiet = false,
  ...options
}: Weather): Promise<Heard & { kinds: Set<string> }> {
  const files = filesBelow(fileURLToPath(new URL("./fuzz", import.meta.url)));
  const server = await lab({ token, world: worldWith(canary), tools, files, ...options });
  const sent: string[] = [];
  const { transport } = server.client;
  const deliver = transport?.onmessage;
  if (!transport || !deliver) throw new Error("not connected");
  transport.onmessage = (message, extra) => {
    sent.push(JSON.stringify(message));
    deliver(message, extra);
  };
  after?.(server);
  const dice = new Dice(seededRandom(1));
  const kinds = new Set<string>();
  await server.client.listTools();
  for (const { name } of options.tools ?? tools) {
    for (let time = 0; time < 3; time++) {
      const args = { ...validCalls[name]?.(dice, []) };
      if (name === "create_certificate")
        Object.assign(args, { certificate: pem.cert, key: pem.key });
      const answer = await server.call(name, args, { onProgress: () => undefined });
      kinds.add(answer.isError ? answer.kind : "ok");
    }
    if (name === "create_certificate") {
      // A key in the wrong place, with and without its frame.
      for (const stray of [pem.key, pem.key.replace(/-----[^-]*-----|\s/g, ""), keyLine]) {
        for (const argument of ["key_file", "certificate_file", "node", "acme"])
          await server.call(name, { node: "pve1", [argument]: stray });
      }
    }
    // What the model could have seen it could also say.
    if (!quiet) await server.call(name, { nonsense: canary, [canary]: true });
  }
  if (quiet) return { sent, logged: server.logged, kinds };
  await server.clock.run(server.client.callTool({ name: canary }).catch(() => undefined));
  return { sent, logged: server.logged, kinds };
}

/** The demo cluster, where the token has this secret and people have written the canary into what they may write. */
function worldWith(secret: string): World {
  const world = demoWorld(Date.UTC(2026, 0, 1, 12));
  addToken(world, { id: tokenId, secret });
  for (const guest of world.guests.values()) guest.config["description"] = `the token is ${canary}`;
  return world;
}

/** What somebody on the way answers who repeats the request's header wherever there is room. */
function echo(status: number, body: string): WireReply {
  const headers = { "content-type": "application/json;charset=UTF-8" };
  return { status, reason: `refused ${header}`, headers, body };
}

const said = JSON.stringify({ data: null, message: `${header}\n`, errors: { vmid: header } });

const weathers: readonly (readonly [string, Weather, kind: string])[] = [
  ["all is well", {}, "ok"],
  ["the secret is not accepted", { world: worldWith("another") }, "unauthorized"],
  ["nobody listens", { after: ({ simulator }) => simulator.faults.refuse() }, "unreachable"],
  [
    "connections break",
    { after: ({ simulator }) => simulator.faults.cutBeforeWorld() },
    "unreachable",
  ],
  ["answers to changes are lost", { after: cutChanges }, "outcome_unknown"],
  ["nothing is answered", { after: ({ simulator }) => simulator.faults.hang() }, "timeout"],
  ...[400, 401, 403, 404, 500, 502, 599].map(
    (status) =>
      [
        `everything is answered with ${status} and the header`,
        { after: echoing(status) },
        "",
      ] as const,
  ),
  [
    "a proxy shows the request on a page",
    { after: echoing(200, `<pre>${header}</pre>`) },
    "upstream",
  ],
  ["the runtime names the header in its errors", { wire: talkative }, "unreachable"],
  ["tasks fail and tell the header", { after: failingTasks }, "task_failed"],
];

function echoing(status: number, body = said): NonNullable<Weather["after"]> {
  return ({ simulator }) => simulator.faults.reply(echo(status, body));
}

function cutChanges({ simulator }: Awaited<ReturnType<typeof lab>>): void {
  for (const method of ["POST", "PUT", "DELETE"] as const)
    simulator.faults.cutAfterWorld({ method });
}

function failingTasks({ simulator }: Awaited<ReturnType<typeof lab>>): void {
  const data = { status: "stopped", exitstatus: `failed with ${header}`, type: header };
  simulator.faults.reply(echo(200, JSON.stringify({ data })), { path: /\/tasks\/[^/]+\/status$/ });
  const lines = [{ n: 1, t: `using ${header}` }];
  const log = JSON.stringify({ data: lines, total: 1 });
  simulator.faults.reply(echo(200, log), { path: /\/tasks\/[^/]+\/log$/ });
}

function talkative(): Transport {
  const cause = new Error(`invalid header ${header}`);
  return {
    send: () => Promise.reject(new WireFault("ECONNRESET", header, { sent: false, cause })),
    close: () => Promise.resolve(),
  };
}

it.each(weathers)("no secret leaves the server while %s", async (_when, weather, kind) => {
  const heard = await everything(weather);
  if (kind !== "") expect([...heard.kinds]).toContain(kind);
  expect(heard.sent.length).toBeGreaterThan(tools.length);
  expect(leaks(heard)).toEqual([]);
});

/** A tool with a fault: what it does, it does with the secret in hand. */
function faulty(run: (context: ToolContext) => Promise<unknown>): Tool {
  return defineTool({
    name: "get_faulty",
    description: "Made for tests.",
    effect: "read",
    input: z.object({}),
    output: z.object({ value: z.unknown() }),
    run: async (_args, context) => ({ value: await run(context) }),
    show: ({ value }) => JSON.stringify(value),
  });
}

const cause = new Error(`cause ${canary}`, { cause: { deep: [header] } });
const faults: readonly (readonly [string, (context: ToolContext) => Promise<unknown>])[] = [
  ["throws it", () => Promise.reject(Object.assign(new Error(header, { cause }), { canary }))],
  ["throws it as a string", () => Promise.reject(`the secret is ${canary}`)],
  ["refuses with it", () => Promise.reject(new Problem("conflict", header, telling()))],
  ["answers with it", async () => ({ [canary]: [header, { deep: canary }] })],
  [
    "tells it as progress",
    async ({ call }) =>
      call.progress?.({ message: `sending ${header}, that is ${canary}`, done: 0.5 }),
  ],
];

function telling() {
  return { next: `Use ${canary}.`, facts: { [canary]: canary, list: [header] }, cause };
}

it.each(faults)("no secret leaves the server by a tool that %s", async (_what, run) => {
  const heard = await everything({ tools: [faulty(run)] });
  expect(leaks(heard)).toEqual([]);
});

it.each(faults)(
  "a secret that the server does not know would be seen in a tool that %s",
  async (_what, run) => {
    const foreign = "0ddba11e-0000-4000-8000-00000000beef";
    const heard = await everything({
      tools: [faulty(run)],
      quiet: true,
      token: { tokenId, secret: foreign },
      world: worldWith(foreign),
    });
    expect(leaks(heard)).not.toEqual([]);
  },
);

it("neither password nor ticket leaves the server of somebody who has logged in", async () => {
  const login: Login = { ...adminLogin, password: canary };
  const world = worldWith("another");
  const user = world.users.get(login.username);
  if (!user) throw new Error("no such user");
  user.password = canary;
  const tickets: string[] = [];
  const heard = await everything({
    login,
    world,
    wire: (simulator) => ({
      send: (request) => {
        tickets.push(...ticketsIn(request.headers));
        return simulator.send(request);
      },
      close: () => simulator.close(),
    }),
  });
  expect(tickets.length).toBeGreaterThan(0);
  expect([...heard.kinds]).toContain("ok");
  expect(leaks(heard, [...forms, keyLine, ...new Set(tickets)])).toEqual([]);
});

function ticketsIn({
  cookie = "",
  csrfpreventiontoken,
}: Readonly<Record<string, string>>): string[] {
  const ticket = cookie.replace(/^PVEAuthCookie=/, "");
  const both = [ticket, decodeURIComponent(ticket), csrfpreventiontoken ?? ""];
  return both.filter((one) => one !== "");
}
