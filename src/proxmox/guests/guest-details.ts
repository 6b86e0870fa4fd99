import { path } from "../../http/path.ts";
import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, guestTags, tags } from "../api/freshness.ts";
import {
  flag,
  type GuestId,
  given,
  number,
  record,
  records,
  text,
  type Wire,
} from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import type { Inventory } from "../cluster/inventory.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { SilentNode } from "../cluster/silence.ts";
import { Addresses } from "./addresses.ts";
import { agentQuestion, interfacesQuestion, readFileSystems, readOs } from "./guest-agent.ts";

export type Detail = "pending" | "agent" | "snapshots" | "backups" | "ha" | "firewall";

/** What a detail is, or why it could not be had: a detail never fails the answer about its guest. */
export type DetailAnswer = readonly Wire[] | Wire;

type At = GuestId & { readonly node: string };

/** The parts of a guest that are read only when somebody asks for them. */
export class GuestDetails {
  readonly addresses: Addresses;
  readonly #verbs: Verbs;

  constructor(verbs: Verbs, lookup: Lookup) {
    this.addresses = new Addresses(verbs, lookup);
    this.#verbs = verbs;
  }

  /**
   * The details asked for, at the same time; one that can't be had is `{unavailable: why, next}`. A node that is known to be
   * `silent` is not asked again: only what others know is told.
   */
  async read(
    guest: At,
    details: readonly Detail[],
    known: { readonly inventory: Inventory | undefined; readonly silent: SilentNode | undefined },
    call: Call,
  ): Promise<Readonly<Record<string, DetailAnswer>>> {
    const { inventory, silent } = known;
    const answers = await Promise.all(
      details.map(async (detail) => {
        const away = silent && detail !== "ha" ? unheard(detail, silent) : undefined;
        return [detail, away ?? (await this.#one(guest, detail, inventory, call))];
      }),
    );
    return Object.fromEntries(answers);
  }

  async #one(
    guest: At,
    detail: Detail,
    inventory: Inventory | undefined,
    call: Call,
  ): Promise<DetailAnswer> {
    try {
      if (detail === "agent") return await this.#agent(guest, call);
      if (detail === "backups") return await this.#backups(guest, inventory, call);
      return await this.#verbs.observe(call, questions[detail](guest));
    } catch (error) {
      if (!isProblem(error) || error.kind === "cancelled") throw error;
      if (detail === "ha" && error.kind === "not_found") return { managed: false };
      return given({ unavailable: error.message, next: error.next });
    }
  }

  /** Addresses and operating system, from the guest agent of a VM or from the host for a container. */
  async #agent(guest: At, call: Call): Promise<Wire> {
    if (guest.type === "lxc") {
      return { interfaces: await this.#verbs.observe(call, interfacesQuestion(guest)) };
    }
    const [interfaces, os, fileSystems] = await Promise.all([
      this.#verbs.observe(call, interfacesQuestion(guest)),
      this.#verbs.observe(call, agentQuestion(guest, "get-osinfo", readOs)).catch(unanswered),
      this.#verbs
        .observe(call, agentQuestion(guest, "get-fsinfo", readFileSystems))
        .catch(unanswered),
    ]);
    return { interfaces, ...given({ os, fileSystems }) };
  }

  /** Its backups on every storage of its node that may hold some; a shared storage is asked once. */
  async #backups(
    guest: At,
    inventory: Inventory | undefined,
    call: Call,
  ): Promise<readonly Wire[]> {
    const storages = (inventory?.storages ?? []).filter(
      (row) =>
        row.node === guest.node && row.content.includes("backup") && row.status === "available",
    );
    const lists = await Promise.all(
      storages.map((row) => this.#verbs.observe(call, backupsQuestion(guest, row.storage))),
    );
    return lists.flat();
  }
}

/** Its guest's node can't be asked for it. */
function unheard(detail: Detail, { node, reason }: SilentNode): Wire {
  const words = reason === "offline" ? "is offline" : reason;
  const next =
    detail === "backups"
      ? "Those on shared storages are shown by list_storage with storage and guest."
      : "Ask again when get_cluster shows the node online.";
  return { unavailable: `Node ${node} ${words}.`, next };
}

/** An agent that runs but does not know a command is no reason to withhold the rest. */
function unanswered(error: unknown): undefined {
  if (isProblem(error) && error.kind !== "cancelled") return undefined;
  throw error;
}

function question<T>(
  guest: At,
  rest: "pending" | "snapshot",
  parse: (data: unknown) => T,
): Question<T> {
  return {
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/${rest}`,
    freshness: fresh("guestConfig", ...guestTags(guest)),
    parse,
  };
}

const questions = {
  /** PVE: GET …/pending: only keys that wait for a restart. */
  pending: (guest: At) => question(guest, "pending", readPending),
  /** PVE: GET …/snapshot, without the entry for the present. */
  snapshots: (guest: At) => question(guest, "snapshot", readSnapshots),
  /** PVE: GET /cluster/ha/resources/{sid} */
  ha: (guest: At): Question<DetailAnswer> => ({
    path: path`/cluster/ha/resources/${`${guest.type === "qemu" ? "vm" : "ct"}:${guest.vmid}`}`,
    freshness: fresh("jobs", tags.cluster),
    parse: (data) => ({ managed: true, ...withoutDigest(record(data)) }),
  }),
  /** PVE: GET …/firewall/rules */
  firewall: (guest: At): Question<DetailAnswer> => ({
    path: path`/nodes/${guest.node}/${guest.type}/${guest.vmid}/firewall/rules`,
    freshness: fresh("jobs", tags.guest(guest)),
    parse: (data) => records(data).map(withoutDigest),
  }),
};

/** PVE: GET …/snapshot: the snapshots of a guest, the oldest first. */
export const snapshotsQuestion = questions.snapshots;
/** PVE: GET …/pending: what waits for a restart. */
export const pendingQuestion = questions.pending;

/** It is for those who change it. */
function withoutDigest({ digest: _, ...rest }: Wire): Wire {
  return rest;
}

function readPending(data: unknown): readonly Wire[] {
  return records(data).filter((row) => "pending" in row || "delete" in row);
}

function readSnapshots(data: unknown): readonly Wire[] {
  return records(data)
    .filter((row) => row["name"] !== "current")
    .sort((a, b) => (number(a["snaptime"]) ?? 0) - (number(b["snaptime"]) ?? 0))
    .map((row) => {
      const at = number(row["snaptime"]);
      return given({
        name: text(row["name"]),
        at: at === undefined ? undefined : new Date(at * 1000).toISOString(),
        description: text(row["description"]),
        parent: text(row["parent"]),
        memory: flag(row["vmstate"]) === true ? true : undefined,
        unfinished: text(row["snapstate"]),
      });
    });
}

/** PVE: GET /nodes/{node}/storage/{storage}/content */
function backupsQuestion(guest: At, storage: string): Question<readonly Wire[]> {
  return {
    path: path`/nodes/${guest.node}/storage/${storage}/content`,
    params: { content: "backup", vmid: guest.vmid },
    freshness: fresh("storageContent", tags.storageContent(storage), tags.anyContent),
    parse: (data) =>
      records(data).map((row) =>
        given({
          volid: text(row["volid"]),
          at: new Date((number(row["ctime"]) ?? 0) * 1000).toISOString(),
          sizeBytes: number(row["size"]),
          protected: flag(row["protected"]) === true ? true : undefined,
          notes: text(row["notes"]),
        }),
      ),
  };
}
