import type { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { GuestConfig } from "../api/guest-config.ts";
import { guestWords } from "../api/values.ts";
import type { Params, Verbs } from "../api/verbs.ts";
import { type GuestRow, isOffline } from "../cluster/inventory.ts";
import { configQuestion, type Lookup } from "../cluster/lookup.ts";
import { statusQuestion } from "../guests/guest-status.ts";
import type { TaskReport } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { convert, grow, type Made, type NewGuest, type Step } from "./blueprint.ts";
import type { Creations } from "./create-guest.ts";
import { defaultMemory, type VmCreations, type VmOrder } from "./create-vm.ts";
import type { Half, HalfMade } from "./half-made.ts";
import { type ImageSource, type Images, readImage } from "./image.ts";
import type { Placement } from "./placement.ts";
import { isMarked, marked } from "./template-mark.ts";
import {
  differs,
  differsRunning,
  inUse,
  locked,
  severalNamed,
  taken,
} from "./template-problems.ts";
import { differences, likenessOf, likenessOfOrder, type TemplateOrder } from "./template-wish.ts";

interface Running {
  readonly made: Made;
  readonly upid: string;
  readonly image: ImageSource;
  readonly order: TemplateOrder;
}

interface Parts {
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly tasks: Tasks;
  readonly halves: HalfMade;
  readonly creations: Creations;
  readonly placement: Placement;
  readonly images: Images;
  readonly vms: VmCreations;
  readonly managedTag: string;
}

/**
 * A cloud image becomes a template in one call: fetched, imported, given a cloud-init drive, converted. The note of the VM tells
 * what it is made from, so that the same call, after whatever interruption, goes on with what is there.
 */
export class TemplateCreations {
  readonly #base: Parts;
  /** By name in lower case: what this server has begun. */
  readonly #running = new Map<string, Running>();

  constructor(base: Parts) {
    this.#base = base;
  }

  /** Throws what creating a VM and downloading throw, `conflict` for another guest of that name or other values, `ambiguous` for several. */
  async create(order: TemplateOrder, call: Call): Promise<Made> {
    const image = readImage(order);
    const running = this.#joinable(order, image);
    if (running) return running;
    const found = await this.#existing(order.name, call);
    if (found) return this.#goOn(order, image, found, call);
    const half = await this.#base.halves.find("qemu", call);
    if (half) return this.#afterwards(order, image, half, call);
    return this.#begin(order, image, call);
  }

  /** An earlier call of this server that is not done yet. */
  #joinable(order: TemplateOrder, image: ImageSource): Made | undefined {
    const { name, dryRun } = order;
    const running = this.#running.get(name.toLowerCase());
    if (!running || !this.#base.tasks.own(running.upid)) return undefined;
    if (running.image.note !== image.note) {
      throw taken(name, "is being made from another image right now");
    }
    const sent = this.#params(running.order, image);
    const there = likenessOfOrder(running.order, sent, running.made.guest);
    const others = differences(order, this.#params(order, image), there);
    if (others.length > 0) throw differsRunning(name, others);
    const { task, ...plan } = running.made;
    return dryRun || !task ? plan : running.made;
  }

  async #existing(name: string, call: Call): Promise<Found | undefined> {
    const { lookup, verbs } = this.#base;
    const inventory = await lookup.inventory(call);
    const [row, ...others] = lookup.rowsNamed(name, inventory);
    if (!row) return undefined;
    if (others.length > 0) throw severalNamed(name, [row, ...others]);
    if (row.type !== "qemu" || isOffline(inventory, row.node)) {
      throw taken(name, `is ${guestWords(row)} on ${row.node} already`);
    }
    return { row, config: await verbs.live(call, configQuestion(row)) };
  }

  /** The VM is there: what is left is done, if it is the one that this call would make. */
  async #goOn(
    order: TemplateOrder,
    image: ImageSource,
    { row, config }: Found,
    call: Call,
  ): Promise<Made> {
    const { name } = order;
    const who = `${guestWords(row)} on ${row.node}`;
    const ours = isMarked(config, image.note) && config.tags.includes(this.#base.managedTag);
    if (!ours) throw taken(name, `is ${who} already, and not from a call like this`);
    const others = differences(order, this.#params(order, image), likenessOf(row, config));
    if (others.length > 0) throw differs(name, row, others);
    const guest: NewGuest = { type: "qemu", vmid: row.vmid, node: row.node, name };
    if (config.template) return { guest, says: "", requests: [], already: true };
    const against = await this.#against(row, config, call);
    if (against[0] && !order.dryRun) throw against[0];
    const size = config.disks.find(({ key }) => key === "scsi0")?.sizeBytes ?? 0;
    const small = order.size !== undefined && size < order.size * 1024 ** 3;
    const steps: [Step, ...Step[]] = small ? [grow("scsi0", `${order.size}G`), convert] : [convert];
    const says = `goes on with ${guestWords(guest, name)}: ${steps.map((step) => step.says).join(", then ")}`;
    const made = { guest, says, requests: steps.map((step) => step.request(guest)), against };
    if (order.dryRun) return made;
    const task = await this.#base.creations.goOn(guest, steps, call);
    return this.#keep({ ...made, task }, image, order);
  }

  /** It may be ours and unfinished, and yet somebody uses it by now. */
  async #against(row: GuestRow, { lock }: GuestConfig, call: Call): Promise<readonly Problem[]> {
    const who = `${guestWords(row)} on ${row.node}`;
    if (lock !== undefined) return [locked(who, row, lock)];
    const { status } = await this.#base.verbs.live(call, statusQuestion(row));
    return status === "stopped" ? [] : [inUse(who, row, status)];
  }

  /** Waits for what may be the VM of another server, then looks again: no vmid is known before. */
  async #afterwards(
    order: TemplateOrder,
    image: ImageSource,
    half: Half,
    call: Call,
  ): Promise<Made> {
    const { name } = order;
    const { upid, node } = half;
    const waits = `waits for the end of a creation that is under way, which may be that of ${name} (VM ${half.vmid} on ${node})`;
    if (order.dryRun) {
      const plan = await this.#begin(order, image, call);
      return { ...plan, guest: { type: "qemu", name }, says: `${waits}; if not, ${plan.says}` };
    }
    const known: { made?: Made } = {};
    const followUp = async (_: TaskReport, later: Call): Promise<TaskReport> => {
      await this.#base.halves.learn(half, later);
      this.#running.delete(name.toLowerCase());
      const made = await this.create(order, later);
      known.made = made;
      const ended = await made.task?.settle({ timeoutMs: waitMs, call: later });
      return ended ?? { upid, node, type: "qmcreate", state: "ok" };
    };
    const task = this.#base.tasks.follow(upid, { touches: [], followUp, recover: followUp });
    const guest: Made["guest"] = {
      type: "qemu",
      name,
      get vmid() {
        return known.made?.guest.vmid;
      },
      get node() {
        return known.made?.guest.node;
      },
    };
    return this.#keep({ guest, says: waits, requests: [], task }, image, order);
  }

  async #begin(order: TemplateOrder, source: ImageSource, call: Call): Promise<Made> {
    const { images, placement, vms, creations } = this.#base;
    const { node: wished, imageStorage, storage, size = 0, dryRun } = order;
    const wish = { ...order, storage: imageStorage };
    const present = await images.present(wish, source.filename, call);
    const coming = present ? undefined : await this.#coming(source, wished, call);
    const placed = await placement.choose(
      {
        node: wished ?? coming?.node,
        memoryMib: order.memory ?? defaultMemory,
        dryRun,
        storages: [
          { storage, content: "images", argument: "storage", sizeBytes: size * 1024 ** 3 },
          ...(imageStorage ? [{ storage: imageStorage, ...imports }] : []),
        ],
        volumes: present ? [{ volid: present.volid, argument: "image_storage" }] : [],
      },
      call,
    );
    const { node, says, release } = placed;
    const holder = present?.volid.split(":")[0] ?? imageStorage;
    const at = { ...wish, node, storage: holder ?? (await images.storageOn(node, call)) };
    const needed = !present || source.checksum !== undefined;
    const fetch = needed ? await images.fetch(at, source, coming?.upid, call) : undefined;
    const volid = present?.volid ?? `${at.storage}:import/${source.filename}`;
    const blueprint = vms.blueprint(vmOrder(order, volid, source.note), node);
    const steps = [...blueprint.steps, convert];
    const instead = async (later: Call) => {
      const found = await this.#existing(order.name, later);
      return found && this.#goOn(order, source, found, later);
    };
    const own = { fetch, placement: says, release, resumes: true, instead };
    const whole = { ...blueprint, ...own, steps };
    const made = await creations.make(whole, call, order);
    return this.#keep(present ? { ...made, reuses: volid } : made, source, order);
  }

  async #coming({ filename }: ImageSource, node: string | undefined, call: Call) {
    const inventory = await this.#base.lookup.inventory(call);
    const online = [...inventory.nodes.keys()].filter((name) => !isOffline(inventory, name));
    const nodes = node === undefined ? online : online.filter((name) => name === node);
    return this.#base.images.underWay(filename, nodes, call);
  }

  /** What a call that begins it sends for the guest, but for the place of the image. */
  #params(order: TemplateOrder, { filename, note }: ImageSource): Params {
    const volid = `${order.imageStorage ?? "local"}:import/${filename}`;
    return this.#base.vms.blueprint(vmOrder(order, volid, note), "").params;
  }

  #keep(made: Made, image: ImageSource, order: TemplateOrder): Made {
    const upid = made.task?.upid;
    if (upid) this.#running.set(made.guest.name.toLowerCase(), { made, upid, image, order });
    return made;
  }
}

interface Found {
  readonly row: GuestRow;
  readonly config: GuestConfig;
}

const waitMs = 6 * 3_600_000;
const imports = { content: "import", argument: "image_storage" };

/** Many cloud images want a serial console; the agent is there or comes later. */
function vmOrder(order: TemplateOrder, volid: string, note: string): VmOrder {
  const { storage, size = 0, nics = ["vmbr0"], options } = order;
  return {
    ...order,
    disks: [`${storage}:${size},import-from=${volid}`],
    nics,
    ips: nics.map(() => "dhcp"),
    agent: true,
    options: { serial0: "socket", ...options, ...marked(note, options) },
  };
}
