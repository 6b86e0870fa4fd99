import { seededRandom } from "../../src/simulator/random.ts";
import type { Answer, Lab } from "../kit.ts";
import type { Witness } from "./witness.ts";

/** What agents share. */
export interface Team {
  readonly server: Lab;
  readonly witness: Witness;
  readonly until: number;
  /** Successful clones, in the order of their making. */
  readonly made: { readonly vmid: number; readonly name: string }[];
}

/** Kinds of errors that a cluster full of others may give to a well-meant call. */
const ordinary = new Set([
  "",
  "busy",
  "conflict",
  "locked",
  "not_found",
  "identity_changed",
  "invalid_input",
  "ambiguous",
  "task_failed",
]);

/** Looks and changes at random until the time is over. */
export async function agent(number: number, seed: number, team: Team): Promise<number> {
  const random = seededRandom(seed * 1_000 + number);
  const { clock } = team.server;
  let calls = 0;
  for (; clock.now() < team.until; calls++) {
    const one = random() < 0.6 ? look : change;
    await one(random, `${number}-${calls}`, team);
    await clock.sleep(random() * 800);
  }
  return calls;
}

const some = <T>(random: () => number, list: readonly T[]): T =>
  list[Math.floor(random() * list.length)] as T;

/** Guests that agents only look at, again and again, and others reconfigure: of whom something old could be told. */
export const watched = 4;

function anybody(random: () => number): string {
  return `g-${watched + Math.floor(random() * (100 - watched))}`;
}

function somebody(random: () => number): string {
  return random() < 0.6 ? `g-${Math.floor(random() * watched)}` : anybody(random);
}

/** A read may be as old as the table of ages says, and a row 10 s older. */
const oldestMs = 10_000 + 15_000;

async function look(random: () => number, _id: string, { server, witness }: Team): Promise<void> {
  const name = somebody(random);
  const tool = some(random, ["get_vm", "get_container", "list_guests", "get_vm", "get_tasks"]);
  const live = random() < 0.2 ? { max_age_s: 0 } : {};
  const args = {
    get_vm: { vm: name, ...live },
    get_container: { container: name, ...live },
    list_guests: { name: `${name.slice(0, 3)}*`, ...live },
    get_tasks: {},
  }[tool] as Record<string, unknown>;
  const askedAt = server.clock.now();
  const answer = await server.begin(tool, args);
  expectOrdinary(tool, args, answer, witness);
  if (!tool.startsWith("get_") || answer.data["vmid"] === undefined) return;
  const { vmid, config } = answer.data as { vmid: number; config?: { cores?: number } };
  const cores = config?.cores === undefined ? undefined : String(config.cores);
  const since = askedAt - ("max_age_s" in args ? 0 : oldestMs);
  if (config && !witness.was(vmid, since, { name: String(answer.data["name"]), cores })) {
    witness.faults.push(`${tool} ${name} said ${answer.data["name"]}, ${cores} cores: too old`);
  }
}

async function change(random: () => number, id: string, team: Team): Promise<void> {
  const { server, witness } = team;
  const power = ["start_guest", "stop_guest", "restart_guest"];
  const care = ["create_snapshot", "update_guest", "migrate_guest", "create_backup"];
  const tool = some(random, [...power, ...care, "clone", "delete"]);
  const wait = random() < 0.3 ? { wait_s: 0 } : {};
  if (tool === "clone") return clone(random, id, team);
  if (tool === "delete") return remove(random, team);
  const guest = anybody(random);
  const mode = some(random, ["shutdown", "stop"]);
  const set = { notes: id, onboot: random() < 0.5 };
  const own = { ...(tool === "stop_guest" && { mode }), ...(tool === "update_guest" && { set }) };
  const args = { guest, ...wait, ...own };
  const done = witness.means(guest);
  expectOrdinary(tool, args, await server.begin(tool, args), witness);
  done();
}

/** Every third name is one that others choose too: it must be made once. */
async function clone(
  random: () => number,
  id: string,
  { server, witness, made }: Team,
): Promise<void> {
  const source = anybody(random);
  const name = random() < 0.3 ? `new-shared-${Math.floor(random() * 5)}` : `new-${id}`;
  const container = Number(source.slice(2)) % 5 === 4;
  const tool = container ? "clone_container" : "clone_vm";
  const args = { [container ? "container" : "vm"]: source, name, start: random() < 0.5 };
  const done = witness.means(source);
  const answer = await server.begin(tool, args);
  expectOrdinary(tool, args, answer, witness);
  done();
  if (!answer.isError) made.push({ vmid: Number(answer.data["vmid"]), name });
}

/** Only what agents have made. */
async function remove(random: () => number, { server, witness, made }: Team): Promise<void> {
  const target = some(random, made);
  if (target === undefined) return;
  const guest = target.name;
  await server.begin("stop_guest", { guest, mode: "stop" });
  const args = { guest, confirm: guest };
  expectOrdinary("delete_guest", args, await server.begin("delete_guest", args), witness);
}

function expectOrdinary(tool: string, args: object, answer: Answer, witness: Witness): void {
  if (ordinary.has(answer.kind)) return;
  witness.faults.push(`${tool} ${JSON.stringify(args)}: ${answer.text}`);
}
