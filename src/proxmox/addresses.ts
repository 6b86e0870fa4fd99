import { path } from "../http/path.ts";
import { isProblem } from "../problem.ts";
import type { Call } from "./call.ts";
import { fresh } from "./freshness.ts";
import { type GuestId, record, records, text } from "./values.ts";
import type { Question, Verbs } from "./verbs.ts";

type At = GuestId & { readonly node: string };

/** Between two questions to an agent, in ms; a silent one keeps PVE waiting for another 3 s. */
const pauseMs = 3_000;

/** What the agent of a guest has told; or what kept it from telling any. */
export type Told =
  | { readonly addresses: readonly string[] }
  | { readonly addresses?: undefined; readonly why: string };

/** Addresses of VMs that have just been started. PVE: GET …/agent/network-get-interfaces */
export class Addresses {
  readonly #verbs: Verbs;

  constructor(verbs: Verbs) {
    this.#verbs = verbs;
  }

  /** Asks until the guest's agent tells one, or `until` (clock time in ms) has come: then why there is none. Never fails for what it is told. */
  async wait(guest: At, until: number, call: Call): Promise<Told> {
    const { clock } = this.#verbs;
    call.progress?.({ message: "waits for its address" });
    while (clock.now() + pauseMs < until && !call.signal.aborted) {
      await clock.sleep(pauseMs, { signal: call.signal });
      const found = await this.#ask(guest, call);
      if (typeof found === "string") return { why: found };
      if (found.length > 0) return { addresses: found };
    }
    return { why: "its guest agent has told none yet" };
  }

  /** Why not, where asking again is of no use. */
  async #ask(guest: At, call: Call): Promise<readonly string[] | string> {
    try {
      return await this.#verbs.live(call, question(guest));
    } catch (error) {
      if (!isProblem(error)) throw error;
      const later = ["conflict", "timeout", "busy", "unreachable"].includes(error.kind);
      return later ? [] : `its guest agent could not be asked (${error.kind})`;
    }
  }
}

function question({ node, vmid }: At): Question<readonly string[]> {
  return {
    path: path`/nodes/${node}/qemu/${vmid}/agent/network-get-interfaces`,
    freshness: fresh("never"),
    parse: (data) =>
      records(record(data)["result"])
        .flatMap((nic) => records(nic["ip-addresses"]))
        .map((address) => text(address["ip-address"]) ?? "")
        .filter((address) => address !== "" && !own.test(address)),
  };
}

/** Loopback and link-local: they say nothing about how to reach a guest. */
const own = /^(?:127\.|169\.254\.|::1$|fe[89ab])/i;
