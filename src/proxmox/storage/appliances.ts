import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import { closest } from "../../text.ts";

import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { records, text } from "../api/values.ts";
import type { ChangeRequest, Question, Verbs } from "../api/verbs.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Fetch, Fetches } from "./fetches.ts";
import type { Storages } from "./storages.ts";
import type { Destination } from "./volumes.ts";

/** A container template that was asked for by another name than its volid, on one storage of one node. */
export interface Appliance extends Destination {
  readonly existed: boolean;
  /** `lets pve1 pull … as …` */
  readonly says: string;
  /** What fetches it. */
  readonly request: ChangeRequest;
}

interface Where {
  readonly node: string;
  readonly storage: string;
}

/** Templates by name and images of registries. PVE: /nodes/{node}/aplinfo, …/storage/{storage}/oci-registry-pull */
export class Appliances {
  readonly #verbs: Verbs;
  readonly #storages: Storages;
  readonly #cluster: Cluster;
  readonly #fetches: Fetches;

  constructor(base: {
    readonly verbs: Verbs;
    readonly storages: Storages;
    readonly cluster: Cluster;
    readonly fetches: Fetches;
  }) {
    this.#verbs = base.verbs;
    this.#storages = base.storages;
    this.#cluster = base.cluster;
    this.#fetches = base.fetches;
  }

  /**
   * What `name` means there: `debian-13-standard` (the newest version that is there, else the newest there is), a whole file name,
   * or `docker.io/library/nginx:latest`. Throws `unsupported` for an image where the node is older than PVE 9.1, `not_found` with
   * the closest names.
   */
  async find(name: string, where: Where, call: Call): Promise<Appliance> {
    if (!isImage(name)) return this.#template(name, where, call);
    const reference = readReference(name);
    await this.#assertPulls(where.node, call);
    const filename = reference.replaceAll(/[^a-zA-Z0-9_.-]/g, "_");
    const { node, storage } = where;
    const volid = `${storage}:vztmpl/${filename}.tar`;
    const { files, shared } = await this.#files(where, call);
    const existed = files.includes(volid);
    const says = `lets ${node} pull ${reference} as ${volid}`;
    const request: ChangeRequest = {
      method: "POST",
      path: path`/nodes/${node}/storage/${storage}/oci-registry-pull`,
      // The whole reference in the name, so that images of two registries are never taken for each other; PVE appends .tar.
      params: { reference, filename },
    };
    return { ...where, volid, shared, existed, says, request };
  }

  /** How to bring it there; one that is on its way already is waited for. */
  fetch(appliance: Appliance): Fetch {
    const { says, request } = appliance;
    return {
      says,
      request,
      begin: (after, call) => this.#fetches.share(appliance, after, call),
    };
  }

  async #template(name: string, where: Where, call: Call): Promise<Appliance> {
    const { node, storage } = where;
    const { files, shared } = await this.#files(where, call);
    const start = `${storage}:vztmpl/${name}`;
    const present = files.filter((volid) => volid === start || volid.startsWith(`${start}_`));
    const [newest] = present.toSorted((a, b) => byVersion(b, a));
    const template = newest?.split("/").at(-1) ?? (await this.#known(name, node, call));
    const volid = newest ?? `${storage}:vztmpl/${template}`;
    const says = `lets ${node} download template ${template} as ${volid}`;
    const request: ChangeRequest = {
      method: "POST",
      path: path`/nodes/${node}/aplinfo`,
      params: { storage, template },
    };
    return { ...where, volid, shared, existed: newest !== undefined, says, request };
  }

  /** The file of the newest version that the node knows. */
  async #known(name: string, node: string, call: Call): Promise<string> {
    const all = await this.#verbs.observe(call, appliancesQuestion(node));
    const fitting = all.filter((one) => one.name === name || one.file === name);
    const [newest] = fitting.toSorted((a, b) => byVersion(b.file, a.file));
    if (newest) return newest.file;
    const near = closest(
      name,
      all.map((one) => one.name),
      5,
    );
    const hint = near.length === 0 ? "" : ` Closest: ${near.join(", ")}.`;
    throw new Problem("not_found", `There is no template "${name}".${hint} Nothing was sent.`, {
      next: 'Use one of these, a volid that list_storage {content: "vztmpl"} shows, or an OCI image such as docker.io/library/nginx:latest.',
      facts: { argument: "template", closest: near },
    });
  }

  async #files({ node, storage }: Where, call: Call) {
    const { volumes } = await this.#storages.content(storage, { node, live: true }, call);
    const { shared } = await this.#storages.place(storage, node, call);
    const templates = volumes.filter(({ content }) => content === "vztmpl");
    return { files: templates.map(({ volid }) => volid), shared };
  }

  async #assertPulls(node: string, call: Call): Promise<void> {
    const version = await this.#cluster.nodeVersion(node, call);
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (major > 9 || (major === 9 && minor >= 1)) return;
    throw new Problem(
      "unsupported",
      `${node} runs PVE ${version}; OCI images need 9.1. Nothing was sent.`,
      {
        next: "Use an appliance template (such as debian-13-standard), or a node that runs PVE 9.1 or later.",
        facts: { node, version },
      },
    );
  }
}

/** Templates have plain names; references of images have slashes and tags. */
function isImage(name: string): boolean {
  return /[/:@]/.test(name);
}

/** PVE: the schema of oci-registry-pull wants a tag. Throws `invalid_input`. */
function readReference(name: string): string {
  const reference = name.replace(/^(?:docker|oci):\/\//, "");
  if (/^[a-zA-Z\d][\w.-]*(?::\d+)?(?:\/[\w.-]+)*:\w[\w.-]{0,127}$/.test(reference))
    return reference;
  const tagless = /^[\w.:-]+(?:\/[\w.-]+)*$/.test(reference) && !/:[^/]*$/.test(reference);
  const what = tagless ? "has no tag" : "is no reference that Proxmox takes";
  throw new Problem("invalid_input", `"${reference.slice(0, 100)}" ${what}. Nothing was sent.`, {
    next: `Write registry, repository and tag: ${tagless ? `${reference}:latest` : "docker.io/library/nginx:latest"}.`,
    facts: { argument: "template" },
  });
}

/** `_13.1-2_` after `_13.1-1_`. */
function byVersion(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

function appliancesQuestion(
  node: string,
): Question<readonly { readonly name: string; readonly file: string }[]> {
  return {
    path: path`/nodes/${node}/aplinfo`,
    freshness: fresh("version", tags.node(node)),
    parse: (data) =>
      records(data).map((wire) => ({
        name: text(wire["package"]) ?? "",
        file: text(wire["template"]) ?? "",
      })),
  };
}
