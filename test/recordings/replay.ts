import { generateKeyPairSync } from "node:crypto";
import type { Method, WireReply, WireRequest } from "../../src/http/transport.ts";
import { VirtualClock } from "../../src/simulator/clock.ts";
import { Simulator } from "../../src/simulator/simulator.ts";
import { differences } from "./compare.ts";
import { dataOf, isRecord, type Recording, routeOf, upidOf } from "./recording.ts";
import { beginning, password, rigWorld, secretOf } from "./rig.ts";

export interface Outcome {
  readonly n: number;
  readonly route: string;
  readonly kind: "same" | "differs" | "skipped" | "not simulated";
  readonly details: readonly string[];
}

/** A task of the recordings whose twin here may still run. */
interface Open {
  readonly recorded: string;
  readonly simulated: string;
  /** Index of the recording that first reads it as stopped; undefined: none does. */
  readonly endsAt: number | undefined;
}

/** What happened to the recorded host between two recordings, by hands that were not recorded. */
export type Between = Readonly<Record<number, (simulator: Simulator) => void>>;

/** Sends recordings in their order to a simulated twin of the recorded host, and holds the answers against each other. */
export class Replay {
  readonly clock = new VirtualClock(beginning);
  readonly simulator = new Simulator({ clock: this.clock, world: rigWorld() });
  readonly #recordings: readonly Recording[];
  readonly #between: Between;
  readonly #upids = new Map<string, string>();
  readonly #digests = new Map<string, string>();
  readonly #volumes = new Map<string, string>();
  readonly #notSimulated = new Set<string>();
  readonly #tickets = new Map<string, Record<string, string>>();
  #open: Open[] = [];

  constructor(recordings: readonly Recording[], between: Between) {
    this.#recordings = recordings;
    this.#between = between;
  }

  async run(): Promise<Outcome[]> {
    await this.clock.advance(20_000);
    const outcomes: Outcome[] = [];
    for (const [index, recording] of this.#recordings.entries()) {
      await this.#catchUp(recording, index);
      this.#between[recording.n]?.(this.simulator);
      outcomes.push(await this.#step(recording, index));
    }
    return outcomes;
  }

  async #step(recording: Recording, index: number): Promise<Outcome> {
    const { n, response } = recording;
    const route = routeOf(recording);
    const began = this.clock.now();
    const outcome = (kind: Outcome["kind"], details: readonly string[] = []): Outcome => ({
      n,
      route,
      kind,
      details,
    });
    if (response.status === 0) return outcome("skipped", [response.reason]);
    const reply = await this.#send(await this.#request(recording));
    const body = parsed(reply);
    await this.clock.advance((response.seconds ?? 0) * 1000 - (this.clock.now() - began));
    const missing = reply.status === 501 && /^Method .* not implemented$/.test(reply.reason);
    const upid = upidOf(recording.request.path);
    const orphan = upid !== undefined && this.#notSimulated.has(upid);
    if (orphan || (missing && response.status !== 501)) {
      const answered = dataOf(response.body);
      if (isUpid(answered)) this.#notSimulated.add(answered);
      return outcome("not simulated");
    }
    this.#learn(recording, body, index);
    if (recording.rig_artifact !== undefined) return outcome("skipped", [recording.rig_artifact]);
    const theirs = { ...response, body: jsonOf(response.body) };
    const details = differences(theirs, { ...reply, body });
    return outcome(details.length === 0 ? "same" : "differs", details);
  }

  #send(request: WireRequest): Promise<WireReply> {
    return this.clock.run(this.simulator.send(request));
  }

  async #request({ request }: Recording): Promise<WireRequest> {
    const { query, body, raw_body: raw, content_type: type } = request;
    const path = request.path.replace(/UPID(?:%3A|:)[^/?]+/, (found) => {
      const twin = this.#upids.get(decodeURIComponent(found));
      return twin === undefined ? found : encodeURIComponent(twin);
    });
    const headers: Record<string, string> = { ...(await this.#credentials(request.auth)) };
    for (const [name, value] of Object.entries(request.extra_headers ?? {})) {
      if (value === "(removed)") delete headers[name.toLowerCase()];
      else headers[name.toLowerCase()] = value;
    }
    if (type === "json") headers["content-type"] = "application/json";
    const text = body && (type === "json" ? JSON.stringify(body) : this.#form(body));
    const content = raw ?? text;
    return {
      method: request.method as Method, // PATCH too: the simulated host has to refuse it
      path: this.#volumeTwin(query ? `${path}?${this.#form(query)}` : path),
      headers,
      ...(content === undefined ? {} : { body: content }),
    };
  }

  #form(values: Readonly<Record<string, unknown>>): string {
    const form = new URLSearchParams();
    for (const [key, value] of Object.entries(values)) {
      for (const item of [value].flat()) {
        const given = String(item).replace("<PRIVATE KEY PEM>", keyPem);
        form.append(key, this.#volumeTwin(this.#digests.get(given) ?? given));
      }
    }
    return form.toString();
  }

  /** Backups carry the time in their names. */
  #volumeTwin(text: string): string {
    return text.replace(backupName, (name) => this.#volumes.get(name) ?? name);
  }

  async #credentials(auth: string): Promise<Record<string, string>> {
    const [kind, who = ""] = auth.split(/:(.*)/);
    if (kind === "token") return { authorization: `PVEAPIToken=${who}=${secretOf(who)}` };
    if (kind !== "ticket") return {};
    const known = this.#tickets.get(who);
    if (known) return known;
    const body = new URLSearchParams({ username: who, password }).toString();
    const path = "/api2/json/access/ticket";
    const data = dataOf(parsed(await this.#send({ method: "POST", path, headers: {}, body })));
    if (!isRecord(data)) throw new Error(`${who} cannot log in`);
    const headers = {
      cookie: `PVEAuthCookie=${encodeURIComponent(String(data["ticket"]))}`,
      csrfpreventiontoken: String(data["CSRFPreventionToken"]),
    };
    this.#tickets.set(who, headers);
    return headers;
  }

  /** Ids that both sides made up stand for each other from now on. */
  #learn({ response }: Recording, body: unknown, index: number): void {
    const theirs = dataOf(response.body);
    const ours = dataOf(body);
    if (isUpid(theirs) && isUpid(ours)) {
      this.#upids.set(theirs, ours);
      const endsAt = this.#endOf(theirs, index);
      this.#open.push({ recorded: theirs, simulated: ours, endsAt });
    }
    if (isRecord(theirs) && isRecord(ours)) {
      if (typeof theirs["digest"] === "string") {
        this.#digests.set(theirs["digest"], String(ours["digest"]));
      }
    }
    const there = JSON.stringify(theirs ?? null).match(backupName) ?? [];
    const here = JSON.stringify(ours ?? null).match(backupName) ?? [];
    for (const name of there) {
      const guest = name.split("-").slice(0, 3).join("-");
      const twin = here.filter((other) => other.startsWith(`${guest}-`)).at(-1);
      if (twin !== undefined) this.#volumes.set(name, twin);
    }
  }

  #endOf(upid: string, from: number): number | undefined {
    const found = this.#recordings.findIndex(
      ({ request, response }, index) =>
        index > from && upidOf(request.path) === upid && stopped(dataOf(response.body)),
    );
    return found < 0 ? undefined : found;
  }

  /** Moves the clock to the recorded one, and lets the tasks end that had ended there. */
  async #catchUp({ response }: Recording, index: number): Promise<void> {
    const starts = dataOf(response.body);
    for (const task of [...this.#open]) {
      if (task.endsAt !== undefined && task.endsAt > index) continue;
      const waits = this.#open.some((other) => other !== task && idOf(other) === idOf(task));
      if (task.endsAt === undefined && waits) continue;
      await this.#settle(task.simulated);
      this.#open = this.#open.filter((other) => other !== task);
    }
    if (!isUpid(starts)) return;
    const then = Number.parseInt(starts.split(":")[4] ?? "0", 16) * 1000;
    await this.clock.advance(Math.max(0, then - this.clock.now()));
  }

  async #settle(upid: string): Promise<void> {
    const path = `/api2/json/nodes/pve/tasks/${encodeURIComponent(upid)}/status`;
    const headers = await this.#credentials("token:root@pam!rig");
    for (let waitedMs = 0; waitedMs < 900_000; waitedMs += 100) {
      if (stopped(dataOf(parsed(await this.#send({ method: "GET", path, headers }))))) return;
      await this.clock.advance(100);
    }
    throw new Error(`${upid} never ends`);
  }
}

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
/** What stands for every private key. */
const keyPem = String(privateKey.export({ type: "pkcs8", format: "pem" })).trim();

const backupName = /vzdump-(?:qemu|lxc)-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d/g;

function stopped(data: unknown): boolean {
  return isRecord(data) && data["status"] === "stopped";
}

function idOf({ recorded }: Open): string | undefined {
  return recorded.split(":")[6];
}

function isUpid(value: unknown): value is string {
  return typeof value === "string" && value.startsWith("UPID:");
}

function parsed(reply: WireReply): unknown {
  return jsonOf(reply.body);
}

/** What a text means, and whatever is none as it is. */
function jsonOf(body: unknown): unknown {
  if (typeof body !== "string") return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
