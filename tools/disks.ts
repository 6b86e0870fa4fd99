import * as z from "zod";
import type { Detached } from "../src/proxmox/disks/disk-detach.ts";
import { bytes } from "../src/text.ts";
import { defineTool } from "../src/tool.ts";
import { changeFields, settled, settledEdit, showChange, subject } from "./outcome.ts";
import * as params from "./params.ts";
import { pendingFields, showPending, waiting } from "./update-guest.ts";

const { status: _status, ...fields } = changeFields;
const disk = z.string().min(1).max(20);
const confirm = z.string().max(100).optional().describe("its exact name");
const diskFields = { ...fields, disk: z.string().optional() };

export const resizeDisk = defineTool({
  name: "resize_disk",
  description: "Grows a disk of a VM or container; never shrinks.",
  effect: "change",
  input: z.object({
    guest: params.guest,
    disk,
    size: z.string().min(1).max(20).describe("64G, or +8G more"),
    digest: z.string().max(40).optional(),
    ...params.changing,
  }),
  output: z.object({ ...fields, size_bytes: z.number().optional() }),
  async run({ guest, disk: key, size, digest, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const options = { disk: key, size, digest, dryRun };
    const changed = await proxmox.disks.changes.resize(guest, call, options);
    const result = await settledEdit(changed, proxmox.disks.changes, context);
    const { sizeBytes } = changed;
    return { ...result, ...(sizeBytes !== undefined && { size_bytes: sizeBytes }) };
  },
  show(result, { disk: key }) {
    const { size_bytes: size, type } = result;
    const whole = size === undefined ? "more" : bytes(size);
    const inside = type === "qemu" ? "; the file system in it grows by the guest's own means" : "";
    return showChange(result, {
      did: `has ${whole} on ${key}${inside}`,
      doing: `is getting ${whole} on ${key}`,
      already: `has ${whole} on ${key} already`,
    });
  },
});

export const moveDisk = defineTool({
  name: "move_disk",
  description:
    "Moves a disk of a VM (also while it runs) or of a stopped container to another storage. The old volume stays as an unused disk.",
  effect: "change",
  input: z.object({
    guest: params.guest,
    disk,
    storage: z.string().min(1).max(100),
    delete_source: z.boolean().default(false).describe("the old volume goes"),
    ...params.changing,
  }),
  output: z.object(diskFields),
  async run({ guest, disk: key, storage, delete_source: deleteSource, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const options = { disk: key, storage, deleteSource, dryRun };
    const changed = await proxmox.disks.changes.move(guest, call, options);
    const result = await settledEdit(changed, proxmox.disks.changes, context);
    return { ...result, disk: changed.disk };
  },
  show(result, { storage, delete_source: gone }) {
    const { disk: key = "" } = result;
    const old = gone ? "" : "; the old volume stays as an unused disk (detach_disk destroys it)";
    return showChange(result, {
      did: `has ${key} on ${storage} now${old}`,
      doing: `is getting ${key} copied to ${storage}`,
      already: `has ${key} on ${storage} already`,
    });
  },
});

export const attachDisk = defineTool({
  name: "attach_disk",
  description:
    "Adds a disk: a new one (size, storage), or a volume: an unused disk of this guest or an ISO image. Answers its key.",
  effect: "change",
  input: z.object({
    guest: params.guest,
    size: z.string().min(1).max(20).optional().describe("32G"),
    storage: z.string().min(1).max(100).optional(),
    volume: z.string().min(1).max(300).optional().describe("unused0 or a volid"),
    slot: z.string().min(1).max(20).optional().describe("scsi1, or a bus; default: first free"),
    mountpoint: z.string().max(300).optional().describe("containers: /srv/data"),
    options: z.string().max(500).optional().describe("ssd=1,discard=on"),
    ...params.changing,
  }),
  output: z.object({ ...diskFields, ...pendingFields }),
  async run({ dry_run: dryRun, wait_s: _, guest, ...options }, context) {
    const { proxmox, call } = context;
    const changed = await proxmox.disks.attachment.attach(guest, call, { ...options, dryRun });
    const result = await settledEdit(changed, proxmox.disks.attachment, context);
    const more = result.plan ? {} : await waiting(result, changed, context);
    return { ...result, disk: changed.disk, ...more };
  },
  show(result, { size, volume }) {
    const { disk: key = "" } = result;
    const waits = result.pending?.includes(key) ?? false;
    const what = volume ?? (size === undefined ? "it" : `a disk of ${size}`);
    const did = waits ? `gets ${what} as ${key} when it restarts` : `has ${what} as ${key}`;
    const words = { did, doing: `is getting ${key}` };
    const shown = showChange(result, { ...words, already: `has ${what} as ${key} already` });
    return [shown, ...showPending(result)].join("\n");
  },
});

export const detachDisk = defineTool({
  name: "detach_disk",
  description:
    "Takes a disk out of a VM or container; it stays as an unused disk, or with destroy its data goes for good.",
  effect: "destroy",
  input: z.object({
    guest: params.guest,
    disk,
    destroy: z.boolean().default(false),
    confirm,
    ...params.changing,
  }),
  output: z.object({ ...diskFields, ...pendingFields, data: z.string().optional() }),
  async run({ guest, disk: key, destroy, confirm: given, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const changed = await proxmox.disks.detachment.detach(guest, call, {
      disk: key,
      destroy,
      dryRun,
      confirm: (found, lost) => {
        const expected = found.name ?? String(found.vmid);
        return context.confirm({ subject: subject(found), expected, given, lost });
      },
    });
    const result = await settledEdit(changed, proxmox.disks.detachment, context);
    if (changed.kept) throw changed.kept;
    const more = result.plan ? {} : await waiting(result, changed, context);
    const ended = result.changed && result.task?.["state"] !== "running";
    const data = ended ? { data: fate(changed, destroy, more.pending) } : {};
    return { ...result, disk: changed.disk, ...data, ...more };
  },
  show(result, { destroy }) {
    const { disk: key = "", data } = result;
    const gone = `has ${key} no more; the volume`;
    const later = destroy ? " and its data then" : " then; the volume is kept as an unused disk";
    const shown = showChange(result, {
      did:
        {
          destroyed: `has lost ${key} and its data`,
          waits: `has ${key} until it restarts and loses it${later}`,
          foreign: `gives ${key} up; the volume is not its own and stays as it is`,
        }[data ?? ""] ?? `${gone} is kept as an unused disk`,
      doing: `is losing ${key}`,
      already: `does not use ${key}; destroy: true removes its data`,
    });
    return [shown, ...showPending(result)].join("\n");
  },
});

/** What has become of the data. */
function fate({ disk: key, own }: Detached, destroy: boolean, pending: readonly string[] = []) {
  if (!own) return "foreign";
  if (pending.includes(key)) return "waits";
  return destroy ? "destroyed" : "unused";
}

export const convertToTemplate = defineTool({
  name: "convert_to_template",
  description: "Makes a template of a stopped guest, for good.",
  effect: "destroy",
  input: z.object({ guest: params.guest, confirm, ...params.changing }),
  output: z.object(fields),
  async run({ guest, confirm: given, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    const changed = await proxmox.disks.conversion.convert(guest, call, {
      dryRun,
      confirm: (found) => {
        const expected = found.name ?? String(found.vmid);
        const lost = ["the guest as such: a template never runs, it is only cloned"];
        return context.confirm({ subject: subject(found), expected, given, lost });
      },
    });
    const { status: _, ...result } = await settled(changed, changed.guest, { after: "" }, context);
    return result;
  },
  show: (result) =>
    showChange(result, {
      did: "is a template",
      doing: "is becoming a template",
      already: "is a template already",
    }),
});
