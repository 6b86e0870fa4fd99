import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Params } from "../api/verbs.ts";
import { type CloudInit, cloudInitParams, isWanted } from "../config/cloud-init.ts";
import { assertBoot, assertFormats } from "../config/option-checks.ts";
import { type Blueprint, grow, type Made, type Step, start } from "./blueprint.ts";
import {
  type DiskWish,
  freeDevices,
  freeIde,
  readDisks,
  readMappings,
  roomNeeded,
  vmNics,
} from "./create-devices.ts";
import type { Creations } from "./create-guest.ts";
import { assertOptions, tagsOf } from "./create-options.ts";
import type { Placement } from "./placement.ts";

export interface VmOrder extends CloudInit {
  readonly name: string;
  readonly vmid?: number | undefined;
  /** Absent: the one with the most free memory. */
  readonly node?: string | undefined;
  readonly cores?: number | undefined;
  readonly memory?: number | undefined;
  readonly cpu?: string | undefined;
  readonly machine?: string | undefined;
  readonly bios?: "seabios" | "ovmf" | undefined;
  readonly tpm?: boolean | undefined;
  readonly agent?: boolean | undefined;
  /** See readDisks. */
  readonly disks?: readonly string[] | undefined;
  /** See vmNics. */
  readonly nics?: readonly string[] | undefined;
  /** Volid of a CD to start from. */
  readonly iso?: string | undefined;
  readonly boot?: readonly string[] | undefined;
  /** Names of mapped devices. */
  readonly pci?: readonly string[] | undefined;
  readonly pool?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly start?: boolean | undefined;
  /** Any other key of PVE's; wins over what is made of the rest. */
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly dryRun?: boolean | undefined;
}

/** MiB; PVE's own default is from another time. */
export const defaultMemory = 2048;

/** New VMs: blank, from an ISO image, or from disk images. PVE: POST /nodes/{node}/qemu */
export class VmCreations {
  readonly #creations: Creations;
  readonly #placement: Placement;
  readonly #managedTag: string;

  constructor(creations: Creations, placement: Placement, managedTag: string) {
    this.#creations = creations;
    this.#placement = placement;
    this.#managedTag = managedTag;
  }

  /**
   * Throws `invalid_input` for what PVE would refuse, `not_found` for nodes, storages and files that are not there, `conflict` for a
   * name or vmid that is taken.
   */
  async create(order: VmOrder, call: Call): Promise<Made> {
    const { memory = defaultMemory } = order;
    const disks = readDisks(order.disks ?? [], order.options);
    // Everything that can be told without asking is told first.
    const anywhere = this.blueprint(order, "");
    const { node, says, release } = await this.#placement.choose(
      demand(order, disks, memory),
      call,
    );
    return this.#creations.make({ ...anywhere, node, placement: says, release }, call, order);
  }

  /** All that follows from the order alone. Throws `invalid_input`. */
  blueprint(order: VmOrder, node: string): Blueprint {
    const { name, vmid, pool, options = {}, memory = defaultMemory } = order;
    assertOptions("qemu", options);
    assertFormats("qemu", options, "options");
    const disks = readDisks(order.disks ?? [], options);
    const nics = vmNics(order.nics ?? []);
    const cd = cdOf(order, disks);
    const { params: cloudInit, secrets } = cloudInitParams(order);
    assertHeard(order.ips ?? [], { ...nics, ...options });
    const tags = tagsOf(order.tags, this.#managedTag);
    const params = {
      name,
      ...hardware(order, memory),
      ...drives(order, disks, cd),
      ...nics,
      ...freeDevices(readMappings(order.pci ?? []), { machine: order.machine, ...options }),
      ...cloudInit,
      boot: bootOrder(order, disks, cd),
      pool,
      tags: tags.join(";"),
      ...options,
      ...Object.fromEntries(disks.map(({ key, value }) => [key, value])),
    };
    assertBootable(order, params);
    const steps = stepsOf(order, disks);
    return { type: "qemu", name, vmid, node, params, secrets, tags, steps };
  }
}

function hardware(order: VmOrder, memory: number): Params {
  const { cores, cpu = "x86-64-v2-AES", machine, bios, agent } = order;
  return {
    ostype: "l26",
    cores,
    cpu,
    memory,
    machine,
    bios,
    agent: agent === undefined ? undefined : `enabled=${agent ? 1 : 0}`,
    scsihw: "virtio-scsi-single",
  };
}

/** CDs, and the small disks of the firmware, which live beside the first disk. */
function drives(
  order: VmOrder,
  disks: readonly DiskWish[],
  { iso: cd, cloudInit }: CdKeys,
): Params {
  const { iso, bios, tpm, options = {} } = order;
  const beside = (what: string) => {
    const storage = disks.find(({ cdrom }) => !cdrom)?.storage;
    if (storage !== undefined) return storage;
    throw new Problem("invalid_input", `${what} needs a disk beside it. Nothing was sent.`, {
      next: "Give at least one of disks; its storage is used.",
      facts: { argument: "disks" },
    });
  };
  const efi = bios === "ovmf" && options["efidisk0"] === undefined;
  return {
    ...(cd !== undefined && { [cd]: `${iso},media=cdrom` }),
    efidisk0: efi ? `${beside("bios ovmf")}:1,efitype=4m,pre-enrolled-keys=1` : undefined,
    tpmstate0: tpm ? `${beside("tpm")}:1,version=v2.0` : undefined,
    ...(cloudInit !== undefined && { [cloudInit]: `${beside("Cloud-init")}:cloudinit` }),
  };
}

interface CdKeys {
  readonly iso: string | undefined;
  readonly cloudInit: string | undefined;
}

/** A drive for each, which nothing else has. */
function cdOf(order: VmOrder, disks: readonly DiskWish[]): CdKeys {
  const { options = {} } = order;
  const taken = new Set([...disks.map(({ key }) => key), ...Object.keys(options)]);
  // Another word of PVE's for the same drive.
  if (taken.has("cdrom")) taken.add("ide2");
  const iso = order.iso === undefined ? undefined : freeIde(taken, "the CD");
  if (iso !== undefined) taken.add(iso);
  const told = /:cloudinit\b/.test(Object.values(options).join(" "));
  const cloudInit = isWanted(order) && !told ? freeIde(taken, "cloud-init") : undefined;
  return { iso, cloudInit };
}

/** What starts first is there; `cdrom` is another word for ide2. */
function assertBootable({ options = {}, boot }: VmOrder, params: Params): void {
  const argument = boot !== undefined && options["boot"] === undefined ? "boot" : "options.boot";
  const own = { ...params, ide2: params["ide2"] ?? params["cdrom"] };
  assertBoot(params["boot"]?.toString(), own, { who: "the new VM", argument });
}

/** Who gives an address means a NIC. */
function assertHeard(ips: readonly string[], params: Params): void {
  const index = ips.findIndex((_, at) => params[`net${at}`] === undefined);
  if (index < 0) return;
  throw new Problem("invalid_input", `ips[${index}]: there is no NIC for it. Nothing was sent.`, {
    next: `Give as many nics as ips, such as nics: ["vmbr0"], or leave it out.`,
    facts: { argument: `ips[${index}]` },
  });
}

/** Disks first: an empty one is passed over, so that a CD installs once and is not started again. */
function bootOrder(
  { boot, nics }: VmOrder,
  disks: readonly DiskWish[],
  { iso }: CdKeys,
): string | undefined {
  const net = nics && nics.length > 0 ? ["net0"] : [];
  const bootable = disks.filter(({ key, cdrom }) => !cdrom && !/^(?:efidisk|tpmstate)/.test(key));
  const devices = boot ?? [
    ...bootable.slice(0, 1).map(({ key }) => key),
    ...(iso === undefined ? [] : [iso]),
    ...net,
  ];
  return devices.length === 0 ? undefined : `order=${devices.join(";")}`;
}

function demand(order: VmOrder, disks: readonly DiskWish[], memoryMib: number) {
  const { node, iso, dryRun } = order;
  const argument = "disks";
  const content = "images";
  const files = disks.flatMap(({ source, volume, cdrom = false }) => [
    ...(source === undefined ? [] : [{ volid: source, argument }]),
    ...(volume === undefined ? [] : [{ volid: volume, argument, attach: !cdrom }]),
  ]);
  return {
    node,
    memoryMib,
    dryRun,
    storages: [...roomNeeded(disks)].map(([storage, sizeBytes]) => {
      return { storage, content, argument, sizeBytes };
    }),
    volumes: [...files, ...(iso === undefined ? [] : [{ volid: iso, argument: "iso" }])],
  };
}

function stepsOf(order: VmOrder, disks: readonly DiskWish[]): readonly Step[] {
  const growing = disks.flatMap(({ key, growTo }) => (growTo ? [grow(key, growTo)] : []));
  return [...growing, ...(order.start ? [start] : [])];
}
