import { createHash } from "node:crypto";
import { Mutex } from "async-mutex";
import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import { CertificateMemory, type Outcome } from "./certificate-memory.ts";
import { exists, refusal, risks, unlisted, unseen, warnings } from "./certificate-words.ts";
import { type Certificate, type Certificates, readCertificate } from "./certificates.ts";
import { type Bundle, chainWords, readBundle } from "./pem.ts";
import type { Recognition, Recognitions } from "./recognition.ts";

export interface CertificateOptions {
  /** Goes past what stands in the way: a custom certificate that is there, and what this server's own way to the node depends on. */
  readonly force: boolean;
  /** Whether pveproxy is restarted, without which it goes on showing the old one. */
  readonly restart: boolean;
  readonly dryRun?: boolean | undefined;
}

export interface CertificateUpload extends CertificateOptions {
  /** PEM: the leaf, then its issuers. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
}

/** What came of a change to a node's certificate, or what would. */
export interface CertificateChange {
  readonly node: string;
  readonly changed: boolean;
  /** One sentence without a full stop: what it does. */
  readonly says: string;
  /** Absent where nothing needs to be sent; without the key. */
  readonly request?: ChangeRequest;
  readonly against: readonly Problem[];
  /** The certificate that the node shows after it; absent in a plan. */
  readonly certificate?: Certificate | undefined;
  readonly warnings: readonly string[];
  /** `PROXMOX_FINGERPRINT=…` for the configuration, where the node is recognised by its fingerprint. */
  readonly pin?: string | undefined;
}

/** A plan with what only the sender may see. */
interface Plan extends Omit<CertificateChange, "changed" | "request"> {
  readonly request?: ChangeRequest;
  readonly shown?: ChangeRequest;
  readonly recognition: Recognition;
  readonly before: readonly Certificate[];
  readonly outcome: Outcome;
}

/** Puts certificates on nodes and takes them away. PVE: POST, DELETE /nodes/{node}/certificates/custom */
export class CertificateChanges {
  readonly #verbs: Verbs;
  readonly #certificates: Certificates;
  readonly #recognitions: Recognitions;
  readonly #mutex = new Mutex();
  readonly #memory: CertificateMemory;

  constructor(verbs: Verbs, certificates: Certificates, recognitions: Recognitions) {
    this.#verbs = verbs;
    this.#certificates = certificates;
    this.#recognitions = recognitions;
    this.#memory = new CertificateMemory(() => verbs.clock.now());
  }

  /**
   * Throws `invalid_input` for what would not work and, without `force`, `conflict` where a custom certificate is there or this server
   * would be locked out, `confirmation_required` where it recognises the node by a fingerprint that goes.
   * A file left over by a failed upload, which no list shows, is overwritten. A certificate that is there already is sent again
   * unless it is known that its key fits and that it is shown, by what we did or by a look at the node: Proxmox takes any key, and
   * restarts nothing unasked.
   */
  async create(name: string, upload: CertificateUpload, call: Call): Promise<CertificateChange> {
    const bundle = readBundle(upload.certificate, upload.key, this.#verbs.clock.now());
    const { node } = await this.#certificates.node(name, call);
    return this.#mutex.runExclusive(async () => {
      const before = this.#certificates.asShown(await this.#certificates.live(node, call));
      const plan = await this.#createPlan(node, bundle, upload, before, call);
      return this.#carryOut(plan, upload, () => this.#upload(node, plan, call));
    });
  }

  /**
   * Takes the custom certificate away, after which the node shows its own. Where no list shows one nothing is sent: by `force` only,
   * as a file may be there that nobody can read, or where the one that is gone is known to be still shown.
   */
  async delete(name: string, options: CertificateOptions, call: Call): Promise<CertificateChange> {
    const { node } = await this.#certificates.node(name, call);
    return this.#mutex.runExclusive(async () => {
      const before = this.#certificates.asShown(await this.#certificates.live(node, call));
      const plan = await this.#deletePlan(node, options, before, call);
      const send = async () => {
        if (plan.request) {
          await this.#verbs.change(call, plan.request, [tags.certificates(node)]);
        }
        const own = before.find(({ use }) => use === "own");
        return own && { ...own, served: own.served || options.restart };
      };
      return this.#carryOut(plan, options, send);
    });
  }

  async #createPlan(
    node: string,
    bundle: Bundle,
    { force, restart }: CertificateUpload,
    before: readonly Certificate[],
    call: Call,
  ): Promise<Plan> {
    const [{ fingerprint256: fingerprint }] = bundle.chain;
    const there = before.find(({ use }) => use === "custom");
    const says = `replaces the certificate that ${node} shows${restartWords(restart)}`;
    const next = { fingerprint, bundle, restart };
    const recognition = await this.#recognitions.of(node, before, next, call);
    const outcome = { digest: digestOf(bundle), restarted: restart };
    const said = warnings(recognition, { force, restart }, node);
    const common = { node, says, recognition, before, outcome, warnings: said };
    const same = there?.fingerprint === fingerprint;
    const done = same && !force && (await this.#settled(there, bundle, outcome, before, call));
    if (done) return { ...common, warnings: [], against: [], certificate: done };
    const replaces = force || same;
    const flags = { ...(replaces && { force: true }), ...(restart && { restart: true }) };
    const target = {
      method: "POST",
      path: path`/nodes/${node}/certificates/custom`,
    } as const;
    const { certificates, key } = bundle;
    return {
      ...common,
      pin: recognition.pin,
      against: [...(there && !replaces ? [exists(there)] : []), ...risks(recognition, force)],
      request: { ...target, params: { certificates, key, ...flags }, secrets: [key] },
      shown: { ...target, params: { certificates: chainWords(bundle), key: "(secret)", ...flags } },
    };
  }

  async #deletePlan(
    node: string,
    { force, restart }: CertificateOptions,
    before: readonly Certificate[],
    call: Call,
  ): Promise<Plan> {
    const own = before.find(({ use }) => use === "own");
    const says = `takes the custom certificate of ${node} away, which then shows its own${restartWords(restart)}`;
    const next = { fingerprint: own?.fingerprint, restart };
    const recognition = await this.#recognitions.of(node, before, next, call);
    const outcome = { restarted: restart };
    const common = { node, says, recognition, before, outcome };
    const listed = before.some(({ use }) => use === "custom");
    // Workers from before a change of ours go on for some seconds: what we did a moment ago is done.
    const stillShown = own !== undefined && !own.served;
    const isDone = async () =>
      !(restart && stillShown) || this.#isGone(own, node, outcome, before, call);
    if (!listed && !force && (await isDone())) {
      return { ...common, against: [], warnings: [unlisted(node)], certificate: own };
    }
    const request: ChangeRequest = {
      method: "DELETE",
      path: path`/nodes/${node}/certificates/custom`,
      params: { ...(restart && { restart: true }) },
    };
    const said = warnings(recognition, { force, restart }, node);
    return {
      ...common,
      against: risks(recognition, force),
      warnings: [...(listed ? [] : [unseen(node)]), ...said],
      pin: recognition.pin,
      request,
      shown: request,
    };
  }

  /** The certificate that is there, where nothing is left to do: by our last change, or as pveproxy shows this very chain. */
  async #settled(
    there: Certificate,
    { chain }: Bundle,
    outcome: Outcome,
    before: readonly Certificate[],
    call: Call,
  ): Promise<Certificate | undefined> {
    const last = this.#memory.brought(there.node, outcome);
    if (last === "justNow") return there;
    const shown = await this.#recognitions.shownBy(there.node, before, call);
    if (shown === undefined) return last && there;
    const isShown = chain.every((one, at) => shown[at] === one.fingerprint256);
    return isShown ? { ...there, served: true } : undefined;
  }

  /** Whether our last change took the certificate away, and the node shows its own where that can be seen. */
  async #isGone(
    own: Certificate | undefined,
    node: string,
    outcome: Outcome,
    before: readonly Certificate[],
    call: Call,
  ): Promise<boolean> {
    const last = this.#memory.brought(node, outcome);
    if (last !== "before") return last === "justNow";
    const [shown] = (await this.#recognitions.shownBy(node, before, call)) ?? [];
    return shown === undefined || shown === own?.fingerprint;
  }

  /** The new certificate is accepted before it can be met, and not any more when PVE has refused it. */
  async #carryOut(
    plan: Plan,
    { dryRun }: CertificateOptions,
    send: () => Promise<Certificate | undefined>,
  ): Promise<CertificateChange> {
    const { recognition, request, shown, before, outcome, ...rest } = plan;
    if (dryRun) return { ...rest, changed: false, ...(shown && { request: shown }) };
    if (plan.against.length > 0) throw refusal(plan.against);
    if (!request) return { ...rest, changed: false };
    const takeBack = recognition.accept();
    this.#memory.forget(plan.node);
    try {
      const certificate = await send();
      const stored = outcome.digest && certificate?.fingerprint;
      this.#certificates.changed(before, plan.node, { stored, restarted: outcome.restarted });
      this.#memory.keep(plan.node, outcome);
      return { ...rest, changed: true, certificate };
    } catch (error) {
      if (isProblem(error, "outcome_unknown")) throw lookAgain(error, plan);
      takeBack();
      throw error;
    }
  }

  /** PVE keeps a file that it could not read and refuses the next one for it: that refusal proves that nothing was done. */
  async #upload(
    node: string,
    { request, outcome }: Plan,
    call: Call,
  ): Promise<Certificate | undefined> {
    if (!request) return undefined;
    try {
      return await this.#send(node, request, outcome, call);
    } catch (error) {
      if (!isProblem(error, "conflict") || error.facts["certificate"] !== "exists") throw error;
      const now = await this.#certificates.live(node, call);
      const there = now.find(({ use }) => use === "custom");
      if (there) throw refusal([exists(there)]);
      const forced = { ...request, params: { ...request.params, force: true } };
      return this.#send(node, forced, outcome, call);
    }
  }

  async #send(
    node: string,
    request: ChangeRequest,
    { restarted }: Outcome,
    call: Call,
  ): Promise<Certificate> {
    const answer = await this.#verbs.change(call, request, [tags.certificates(node)]);
    return { ...readCertificate(answer, node), served: restarted };
  }
}

/** Tells two uploads apart without keeping a key. */
function digestOf({ certificates, key }: Bundle): string {
  return createHash("sha256").update(certificates).update(key).digest("hex");
}

function restartWords(restart: boolean): string {
  return restart ? " and restarts its pveproxy" : "";
}

/** No task shows it, but the list of certificates does. */
function lookAgain({ message, facts, cause }: Problem, { node, pin }: Plan): Problem {
  return new Problem("outcome_unknown", message, {
    next: `See with list_certificates {node: "${node}", max_age_s: 0} which certificate is there before you repeat it.`,
    facts: { ...facts, ...(pin !== undefined && { pin }) },
    cause,
  });
}
