import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { publicKeys } from "../config/cloud-init.ts";
import { assertFormats } from "../config/option-checks.ts";
import type { Appliances } from "../storage/appliances.ts";
import type { Fetch } from "../storage/fetches.ts";
import { storageOf } from "../storage/volumes.ts";
import { type Made, start } from "./blueprint.ts";
import { type FeatureWish, featuresOf, rootOnly } from "./container-features.ts";
import { containerNics, type DiskWish, readMounts, roomNeeded } from "./create-devices.ts";
import type { Creations } from "./create-guest.ts";
import { assertOptions, tagsOf } from "./create-options.ts";
import type { Placement } from "./placement.ts";

export interface ContainerOrder extends FeatureWish {
  readonly name: string;
  /** A volid, the name of an appliance template, or the reference of an OCI image. */
  readonly template: string;
  /** Where a template that is not there is fetched to. */
  readonly templateStorage?: string | undefined;
  readonly vmid?: number | undefined;
  /** Absent: the one with the most free memory. */
  readonly node?: string | undefined;
  /** See readMounts. */
  readonly rootfs: string;
  readonly mounts?: readonly string[] | undefined;
  /** See containerNics. */
  readonly nics?: readonly string[] | undefined;
  readonly cores?: number | undefined;
  readonly memory?: number | undefined;
  readonly password?: string | undefined;
  readonly sshKeys?: readonly string[] | undefined;
  readonly pool?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly start?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** MiB; as PVE has it. */
const defaultMemory = 512;

/** New containers. PVE: POST /nodes/{node}/lxc */
export class ContainerCreations {
  readonly #creations: Creations;
  readonly #placement: Placement;
  readonly #appliances: Appliances;
  readonly #managedTag: string;
  readonly #principal: string;

  constructor(
    base: {
      readonly creations: Creations;
      readonly placement: Placement;
      readonly appliances: Appliances;
    },
    managedTag: string,
    principal: string,
  ) {
    this.#creations = base.creations;
    this.#placement = base.placement;
    this.#appliances = base.appliances;
    this.#managedTag = managedTag;
    this.#principal = principal;
  }

  /**
   * Throws `invalid_input` for what PVE would refuse, `not_found` for nodes, storages and templates that are not there, `conflict`
   * for a name or vmid that is taken, `unsupported` for OCI images before PVE 9.1, `forbidden` for features that only root may set.
   */
  async create(order: ContainerOrder, call: Call): Promise<Made> {
    const { name, vmid, pool, options = {}, cores, memory, password } = order;
    assertOptions("lxc", options);
    assertFormats("lxc", options, "options");
    const disks = readMounts(order.rootfs, order.mounts ?? [], options);
    const tags = tagsOf(order.tags, this.#managedTag);
    const nics = containerNics(order.nics ?? []);
    const keys = order.sshKeys && publicKeys(order.sshKeys);
    const volid = templateVolid(order.template);
    const features = featuresOf(order);
    const against = rootOnly(order, features, this.#principal);
    if (against[0] && !order.dryRun) throw against[0];
    const { node, says, release } = await this.#placement.choose(demand(order, disks, volid), call);
    const { ostemplate, fetch } = volid
      ? { ostemplate: volid, fetch: undefined }
      : await this.#template(order, node, call);
    const params = {
      hostname: name,
      ostemplate,
      ...nics,
      cores,
      memory,
      unprivileged: order.unprivileged,
      "ssh-public-keys": keys,
      pool,
      tags: tags.join(";"),
      ...options,
      features,
      ...Object.fromEntries(disks.map(({ key, value }) => [key, value])),
    };
    const secrets: Record<string, string> = password === undefined ? {} : { password };
    const steps = order.start ? [start] : [];
    const base = { type: "lxc" as const, name, vmid, node, placement: says, release };
    return this.#creations.make(
      { ...base, params, secrets, tags, fetch, steps, against },
      call,
      order,
    );
  }

  /** The template where one of the node's storages has it, else the first of them, to which it is fetched. */
  async #template(
    { template, templateStorage }: ContainerOrder,
    node: string,
    call: Call,
  ): Promise<{ readonly ostemplate: string; readonly fetch: Fetch | undefined }> {
    const needed = { content: "vztmpl", argument: "template_storage", node };
    const storages = templateStorage
      ? [templateStorage]
      : await this.#placement.storagesFor(needed, call);
    const found = await Promise.all(
      storages.map((storage) => this.#appliances.find(template, { node, storage }, call)),
    );
    const best = found.find(({ existed }) => existed) ?? found[0];
    if (!best) throw new TypeError("there is a storage for templates");
    const fetch = best.existed ? undefined : this.#appliances.fetch(best);
    return { ostemplate: best.volid, fetch };
  }
}

/** Undefined where it names no file of a storage. Throws `invalid_input` for a file that is no template. */
function templateVolid(template: string): string | undefined {
  const [, kind] = /^[a-z][\w.-]*:(iso|import|backup|snippets|vztmpl)\/./i.exec(template) ?? [];
  if (kind === undefined) return undefined;
  if (kind === "vztmpl" && storageOf(template) !== undefined) return template;
  throw new Problem("invalid_input", `${template.slice(0, 100)} is no container template.`, {
    next: 'Give a volid that list_storage {content: "vztmpl"} shows, a name such as debian-13-standard, or an OCI image.',
    facts: { argument: "template" },
  });
}

function demand(order: ContainerOrder, disks: readonly DiskWish[], volid: string | undefined) {
  const { node, memory = defaultMemory, templateStorage, dryRun } = order;
  const argument = "template_storage";
  return {
    node,
    memoryMib: memory,
    dryRun,
    storages: [
      ...[...roomNeeded(disks)].map(([storage, sizeBytes]) => {
        return { storage, content: "rootdir", argument: "rootfs", sizeBytes };
      }),
      ...(templateStorage ? [{ storage: templateStorage, content: "vztmpl", argument }] : []),
    ],
    volumes: [
      ...(volid === undefined ? [] : [{ volid, argument: "template" }]),
      ...disks.flatMap(({ key, volume }) =>
        volume === undefined ? [] : [{ volid: volume, argument: key, attach: true }],
      ),
    ],
  };
}
