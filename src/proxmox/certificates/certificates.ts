import { path } from "../../http/path.ts";
import { isProblem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { given, number, record, records, text } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";
import type { Inventory, NodeRow } from "../cluster/inventory.ts";
import { knownNode } from "../cluster/known-nodes.ts";
import type { Lookup } from "../cluster/lookup.ts";
import type { SilentNode } from "../cluster/silence.ts";

/** Names that every host has. */
const loopback = /^(?:localhost|127\..*|::1|(?:0+:)+0*1)$/;

/** So long after a restart of pveproxy connections from before it may go on. */
const handOverMs = 60_000;

/** What a certificate file is to its node; `former`: in no file any more, but what pveproxy has in memory. */
export type CertificateUse = "custom" | "own" | "authority" | "former";

export interface Certificate {
  readonly node: string;
  /** `pveproxy-ssl.pem`, `pve-ssl.pem`, `pve-root-ca.pem` */
  readonly file: string;
  readonly use: CertificateUse;
  /** Whether pveproxy shows it: as this server sees it, else once it was restarted after the last change. */
  readonly served: boolean;
  /** `/O=…/CN=…` as Proxmox writes it. */
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  /** SHA-256, `AA:BB:…` in capitals. */
  readonly fingerprint?: string;
  /** ms since the epoch. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** The certificates of several nodes, and why some could not be asked. */
export interface CertificateList {
  readonly certificates: readonly Certificate[];
  readonly degraded: readonly SilentNode[];
}

/** What the nodes of a cluster show who they are with. PVE: GET /nodes/{node}/certificates/info */
export class Certificates {
  readonly #verbs: Verbs;
  readonly #lookup: Lookup;
  /** By node: what was stored by a change of ours without a restart, and what pveproxy went on showing. */
  readonly #unshown = new Map<string, { readonly stored?: string; readonly shown?: Certificate }>();
  /** By node: with what our connection was made when a change of ours restarted pveproxy, which ends it before long. */
  readonly #past = new Map<string, { readonly seen: string | undefined; readonly until: number }>();

  constructor(verbs: Verbs, lookup: Lookup) {
    this.#verbs = verbs;
    this.#lookup = lookup;
  }

  /** Of one node. Needs no privilege. `unreachable` when it is down. */
  of(node: string, call: Call): Promise<readonly Certificate[]> {
    return this.#verbs.observe(call, infoQuestion(node));
  }

  /** The same, as it is now. */
  live(node: string, call: Call): Promise<readonly Certificate[]> {
    return this.#verbs.live(call, infoQuestion(node));
  }

  /**
   * The same certificates, `served` by what is known of what pveproxy shows: it reads its files only when it starts. One that is in
   * none of them any more stands first.
   */
  asShown(all: readonly Certificate[]): readonly Certificate[] {
    const [one] = all;
    if (!one) return all;
    const left = this.#leftShown(one.node, all);
    const shown = this.#seenNow(one.node, all) ?? left?.fingerprint;
    if (shown === undefined) return all;
    const rows = all.map((row) => ({
      ...row,
      served: row.use !== "authority" && row.fingerprint === shown,
    }));
    if (rows.some(({ served }) => served)) return rows;
    const known = left?.fingerprint === shown ? left : unknown(one.node, shown);
    return [{ ...known, file: "(in memory)", use: "former", served: true }, ...rows];
  }

  /** A change of ours: `before` it pveproxy had the certificates as shown there. `stored`: of the custom one that is there now. */
  changed(
    before: readonly Certificate[],
    node: string,
    { stored, restarted }: { readonly stored?: string | undefined; readonly restarted: boolean },
  ): void {
    if (restarted) {
      this.#unshown.delete(node);
      const until = this.#verbs.clock.now() + handOverMs;
      this.#past.set(node, { seen: this.#seen(node, before), until });
      return;
    }
    const known = this.#unshown.get(node);
    const shown = known?.shown ?? before.find(({ served }) => served);
    this.#unshown.set(node, given({ stored, shown }));
  }

  /** What the connection to that very node was made with. Its own certificate tells the node also where its name is none of ours. */
  #seen(node: string, all: readonly Certificate[]): string | undefined {
    const { api } = this.#verbs;
    const own = all.find(({ use }) => use === "own")?.fingerprint;
    const names = namesOf(node, all);
    return api.hosts
      .map((host) => ({ host, seen: api.trustOf(host)?.seen }))
      .find(({ host, seen }) => seen && (seen === own || names.includes(hostnameOf(host))))?.seen;
  }

  /** The same, but for a connection from before a restart. */
  #seenNow(node: string, all: readonly Certificate[]): string | undefined {
    const seen = this.#seen(node, all);
    const past = this.#past.get(node);
    const isPast = past && past.seen === seen && this.#verbs.clock.now() < past.until;
    return isPast ? undefined : seen;
  }

  #leftShown(node: string, all: readonly Certificate[]): Certificate | undefined {
    const left = this.#unshown.get(node);
    const custom = all.find(({ use }) => use === "custom")?.fingerprint;
    return left && left.stored === custom ? left.shown : undefined;
  }

  /** Of one node or of all: a node that does not answer keeps nobody else's certificates back. Throws `not_found`. */
  async list(node: string | undefined, call: Call): Promise<CertificateList> {
    const inventory = await this.#lookup.inventory(call);
    const rows = node === undefined ? [...inventory.nodes.values()] : [await this.node(node, call)];
    const asked = await Promise.all(
      rows
        .toSorted((a, b) => (a.node < b.node ? -1 : 1))
        .map(async (row) => this.#ask(row, inventory, call)),
    );
    return {
      certificates: asked.flatMap((found) => ("reason" in found ? [] : found)),
      degraded: asked.flatMap((found) => ("reason" in found ? [found] : [])),
    };
  }

  /** The node of that name; `not_found` with the closest ones. */
  node(name: string, call: Call): Promise<NodeRow> {
    return knownNode(this.#lookup, name, call);
  }

  async #ask(
    row: NodeRow,
    inventory: Inventory,
    call: Call,
  ): Promise<readonly Certificate[] | SilentNode> {
    const { silence } = this.#lookup;
    const [away] = row.status === "offline" ? silence.among([row.node], inventory) : [];
    if (away) return away;
    try {
      return this.asShown(await this.of(row.node, call));
    } catch (error) {
      if (isProblem(error) && !["cancelled", "unauthorized"].includes(error.kind)) {
        return silence.of(row.node, error, inventory);
      }
      throw error;
    }
  }
}

function infoQuestion(node: string): Question<readonly Certificate[]> {
  return {
    path: path`/nodes/${node}/certificates/info`,
    freshness: fresh("certificates", tags.certificates(node)),
    parse: (data) => {
      const rows = records(data).map((row) => readCertificate(row, node));
      const custom = rows.some(({ use }) => use === "custom");
      return rows
        .map((row) => ({ ...row, served: row.use === (custom ? "custom" : "own") }))
        .toSorted((a, b) => uses.indexOf(a.use) - uses.indexOf(b.use));
    },
  };
}

/** All that can be seen of a certificate from outside. */
function unknown(node: string, fingerprint: string): Certificate {
  const names = { subject: "unknown", issuer: "unknown", names: [] };
  return { node, file: "", use: "former", served: true, ...names, fingerprint };
}

const uses: readonly CertificateUse[] = ["custom", "own", "authority"];
const useOf: Readonly<Record<string, CertificateUse>> = {
  "pveproxy-ssl.pem": "custom",
  "pve-ssl.pem": "own",
};

/** PVE: pve-common src/PVE/Certificate.pm, get_certificate_info */
export function readCertificate(data: unknown, node: string): Certificate {
  const row = record(data);
  const ms = (value: unknown) => {
    const seconds = number(value);
    return seconds === undefined ? undefined : seconds * 1000;
  };
  const file = text(row["filename"]) ?? "";
  return {
    node,
    file,
    use: useOf[file] ?? "authority",
    served: false,
    subject: text(row["subject"]) ?? "",
    issuer: text(row["issuer"]) ?? "",
    names: Array.isArray(row["san"]) ? row["san"].map(String) : [],
    ...given({
      fingerprint: text(row["fingerprint"]),
      notBefore: ms(row["notbefore"]),
      notAfter: ms(row["notafter"]),
    }),
  };
}

/** What the node is called, by itself and in its own certificate; without what every host is called. */
export function namesOf(node: string, before: readonly Certificate[]): readonly string[] {
  const own = before.find(({ use }) => use === "own")?.names ?? [];
  return [...new Set([node, ...own])].filter((name) => !loopback.test(name));
}

/** `pve1.example` of `pve1.example:8006`, the address without brackets of `[::1]:8006`. */
export function hostnameOf(host: string): string {
  const url = `https://${host}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, "") : host;
}
