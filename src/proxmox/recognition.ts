import type { HostTrust } from "../http/transport.ts";
import { isProblem } from "../problem.ts";
import type { Call } from "./call.ts";
import { type Certificate, hostnameOf, namesOf } from "./certificates.ts";
import type { Cluster } from "./cluster.ts";
import { type Bundle, isFor, isTrustedBy, nameOf } from "./pem.ts";
import type { Verbs } from "./verbs.ts";

/** The certificate that a node is about to show. */
export interface NextCertificate {
  readonly fingerprint: string | undefined;
  /** Absent for the node's own. */
  readonly bundle?: Bundle;
  readonly restart: boolean;
}

/** What the next certificate means for those who recognise the node by it, this server first of all. */
export interface Recognition {
  readonly warnings: readonly string[];
  /** `PROXMOX_FINGERPRINT=…` as it has to be from now on. */
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
    const { trusts } = this.#verbs.api;
    const dialled = trusts.length > 0 && (await this.#dials(node, names, before, call));
    if (!dialled || next.fingerprint === undefined) {
      return { warnings: foreign ? [foreign] : [], accept: () => () => undefined };
    }
    const { fingerprint, bundle, restart } = next;
    const pin = this.#pin(fingerprint, before, restart);
    const said = pin === undefined ? bundle && this.#untrusted(node, bundle) : pinWords(node);
    return {
      warnings: [foreign, said].filter((warning) => warning !== undefined),
      ...(pin !== undefined && { pin }),
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
    const { api } = this.#verbs;
    if (api.trusts.length === 0) return undefined;
    const names = namesOf(node, before);
    const named = api.hosts.find((host) => names.includes(hostnameOf(host)));
    const host = named ?? ((await this.#answering(call)) === node ? api.host : undefined);
    return host === undefined ? undefined : api.trustOf(host)?.look?.();
  }

  /** Whether this server's own connection leads to the node, as far as that can be known. */
  async #dials(
    node: string,
    names: readonly string[],
    before: readonly Certificate[],
    call: Call,
  ): Promise<boolean> {
    const { hosts, trusts } = this.#verbs.api;
    const pinned = trusts.flatMap(({ fingerprints }) => fingerprints);
    if (
      before.some(
        ({ use, fingerprint = "" }) => use !== "authority" && pinned.includes(fingerprint),
      )
    )
      return true;
    if (hosts.some((host) => names.includes(hostnameOf(host)))) return true;
    return (await this.#answering(call)) === node;
  }

  /** The host that answers us, where these credentials may know. */
  async #answering(call: Call): Promise<string | undefined> {
    try {
      return (await this.#cluster.status(call)).local;
    } catch (error) {
      if (isProblem(error, "forbidden")) return undefined;
      throw error;
    }
  }

  /** Undefined where nothing is pinned. Without a restart the old certificate is still shown, so it stays. */
  #pin(fingerprint: string, before: readonly Certificate[], restart: boolean): string | undefined {
    const pinned = new Set(this.#verbs.api.trusts.flatMap(({ fingerprints }) => fingerprints));
    if (pinned.size === 0) return undefined;
    const old = new Set(before.map((one) => one.fingerprint));
    const served = before.find((one) => one.served)?.fingerprint;
    const kept = [...pinned].filter((one) => {
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

  /** Where authorities judge, a certificate of another one would lock this server out. */
  #untrusted(node: string, bundle: Bundle): string | undefined {
    const judges = this.#verbs.api.trusts.filter(({ insecure }) => !insecure);
    if (judges.length === 0 || judges.some((trust) => accepts(trust, bundle))) return undefined;
    return `This server would not trust that certificate and could not reach ${node} any more: set PROXMOX_FINGERPRINT=${bundle.chain[0].fingerprint256} or PROXMOX_CA_FILE accordingly.`;
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

/** Public authorities are known to the runtime only; what is signed by itself is certainly none of theirs. */
function accepts({ ca }: HostTrust, { chain }: Bundle): boolean {
  if (ca !== undefined) return isTrustedBy(chain, ca);
  const last = chain.at(-1) ?? chain[0];
  return chain.length > 1 || !last.checkIssued(last);
}

function pinWords(node: string): string {
  return `This server recognises ${node} by its fingerprint: it accepts the new one besides the old one as long as it runs; put the new PROXMOX_FINGERPRINT into its configuration.`;
}
