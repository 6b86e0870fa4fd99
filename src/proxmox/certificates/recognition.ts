import { ifAllowed } from "../../each.ts";
import type { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { given } from "../api/values.ts";
import type { Verbs } from "../api/verbs.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { type Certificate, hostnameOf, namesOf } from "./certificates.ts";
import { type Bundle, isFor, nameOf } from "./pem.ts";
import { lockout, repinned } from "./recognition-risk.ts";

/** The certificate that a node is about to show. */
export interface NextCertificate {
  /** Undefined where nobody knows it before. */
  readonly fingerprint: string | undefined;
  /** Absent for the node's own. */
  readonly bundle?: Bundle;
  readonly restart: boolean;
}

/** What the next certificate means for those who recognise the node by it, this server first of all. */
export interface Recognition {
  readonly warnings: readonly string[];
  /** What becomes of this server's own way to the node: nobody may take that risk untold. */
  readonly risk?: Problem;
  /** Whether this server recognises the node by its fingerprint. */
  readonly pinned: boolean;
  /** `PROXMOX_FINGERPRINT=…` as it has to be from now on; absent where nothing is pinned. */
  readonly pin?: string;
  /** Takes the next certificate besides the present one; the answer takes that back. */
  accept(): () => void;
}

/** How this server itself will recognise a node whose certificate it changes. */
export class Recognitions {
  readonly #verbs: Verbs;
  readonly #cluster: Cluster;
  /** Fingerprints that nodes showed before a change of ours. */
  readonly #replaced = new Set<string>();

  constructor(verbs: Verbs, cluster: Cluster) {
    this.#verbs = verbs;
    this.#cluster = cluster;
  }

  async of(
    node: string,
    before: readonly Certificate[],
    next: NextCertificate,
    call: Call,
  ): Promise<Recognition> {
    const names = namesOf(node, before);
    const foreign = next.bundle && (await this.#misnamed(next.bundle, node, names, call));
    const warnings = foreign === undefined ? [] : [foreign];
    const { fingerprint, restart } = next;
    const pinned = this.#pinned();
    if (pinned.size === 0) {
      const risk = await this.#lockout(node, names, before, next, call);
      return { warnings, ...given({ risk }), pinned: false, accept: nothing };
    }
    const ours = before.some((one) => one.use !== "authority" && pinned.has(one.fingerprint ?? ""));
    if (!ours && (await this.#way(node, names, call)) === undefined) {
      return { warnings, pinned: false, accept: nothing };
    }
    if (fingerprint === undefined) {
      const risk = repinned(node, before, undefined, undefined);
      return { warnings, risk, pinned: true, accept: nothing };
    }
    const pin = this.#pin(fingerprint, before, restart);
    // Who has put the next fingerprint into the configuration beforehand knows what is coming.
    const expected = pinned.has(fingerprint) && !this.#replaced.has(fingerprint);
    return {
      warnings,
      ...(!expected && { risk: repinned(node, before, fingerprint, pin) }),
      pinned: true,
      pin,
      accept: () => this.#accept(fingerprint, before),
    };
  }

  /**
   * The fingerprints of what the node shows to a new connection, its own certificate first and what it sends along. Undefined where
   * no connection of ours leads to that node, or nobody answers: then it is not known.
   */
  async shownBy(
    node: string,
    before: readonly Certificate[],
    call: Call,
  ): Promise<readonly string[] | undefined> {
    const host = await this.#way(node, namesOf(node, before), call);
    return host === undefined ? undefined : this.#verbs.api.trustOf(host)?.look?.();
  }

  /** The host of ours that leads to the node, as far as that can be known; undefined also where hosts have no certificates. */
  async #way(node: string, names: readonly string[], call: Call): Promise<string | undefined> {
    const { api } = this.#verbs;
    if (api.trusts.length === 0) return undefined;
    const named = api.hosts.find((host) => names.includes(hostnameOf(host)));
    return named ?? ((await this.#answering(call)) === node ? api.host : undefined);
  }

  /** Where authorities judge, a certificate that they know nothing of would lock this server out. */
  async #lockout(
    node: string,
    names: readonly string[],
    before: readonly Certificate[],
    { fingerprint, bundle }: NextCertificate,
    call: Call,
  ): Promise<Problem | undefined> {
    if (fingerprint === undefined) return undefined;
    const host = await this.#way(node, names, call);
    const trust = host === undefined ? undefined : this.#verbs.api.trustOf(host);
    if (host === undefined || trust === undefined || trust.insecure) return undefined;
    return lockout({ node, host, trust, bundle, before });
  }

  #pinned(): ReadonlySet<string> {
    return new Set(this.#verbs.api.trusts.flatMap(({ fingerprints }) => fingerprints));
  }

  /** The host that answers us, where these credentials may know. */
  async #answering(call: Call): Promise<string | undefined> {
    return (await ifAllowed(this.#cluster.status(call)))?.local;
  }

  /** Without a restart the old certificate is still shown, so it stays. */
  #pin(fingerprint: string, before: readonly Certificate[], restart: boolean): string {
    const old = new Set(before.map((one) => one.fingerprint));
    const served = before.find((one) => one.served)?.fingerprint;
    const kept = [...this.#pinned()].filter((one) => {
      if (!restart && one === served) return true;
      return one !== fingerprint && !old.has(one) && !this.#replaced.has(one);
    });
    return `PROXMOX_FINGERPRINT=${[fingerprint, ...kept].join(",")}`;
  }

  #accept(fingerprint: string, before: readonly Certificate[]): () => void {
    const undo = this.#verbs.api.trusts.map((trust) => trust.accept(fingerprint));
    for (const { served, fingerprint: old } of before) if (served && old) this.#replaced.add(old);
    this.#replaced.delete(fingerprint);
    return () => {
      for (const one of undo) one();
      for (const { served, fingerprint: old } of before)
        if (served && old) this.#replaced.delete(old);
    };
  }

  /** The name that we dial is one of the node's where the node is the one that answers; a round robin's is for nobody to know. */
  async #misnamed(
    { chain: [leaf] }: Bundle,
    node: string,
    names: readonly string[],
    call: Call,
  ): Promise<string | undefined> {
    if (isFor(leaf, names)) return undefined;
    if (isFor(leaf, [hostnameOf(this.#verbs.api.host)]) && (await this.#answering(call)) === node) {
      return undefined;
    }
    const bare =
      leaf.subjectAltName === undefined
        ? " It has no subjectAltName, and browsers take no name from its subject."
        : "";
    return `The certificate (${nameOf(leaf)}) is for none of the node's names: ${names.join(", ")}.${bare}`;
  }
}

/** There is nothing to be accepted, and nothing to be taken back. */
const nothing = () => () => undefined;
