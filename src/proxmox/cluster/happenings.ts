import { tags } from "../api/freshness.ts";
import { type GuestId, parseUpid, type Upid } from "../api/values.ts";

/** Something that has happened or is happening in the cluster, and the tags of what it may have changed. */
export interface Happening {
  readonly touches: readonly string[];
  /** When it ended, in ms by the host's clock (whole seconds); undefined while it runs. */
  readonly endedAt: number | undefined;
  /** Whether it may leave its guest in another state or place, so that its row lags behind for a while. */
  readonly unsettles: boolean;
}

/** Tasks that work on guests: `qm…` on VMs, `vz…` on containers; the id is the vmid. */
const guestTask = /^(qm|vz)[a-z]+$/;
/** Tasks of either kind whose type does not tell which. */
const eitherTask = new Set(["resize", "move_volume", "hastart", "hastop", "hamigrate", "vzdump"]);
/** Tasks of a whole node or cluster that work on many guests. */
const manyGuests = /^(startall|stopall|suspendall|migrateall|bulk-.*|vzdump)$/;
/** Tasks after which a storage holds something else. */
const storageTask =
  /^(imgcopy|imgdel|download|ociregistrypull|prunebackups|vzdump|resize|move_volume|qmmove|(qm|vz)(create|restore|clone|destroy|template|snapshot|delsnapshot|rollback|migrate)|qmigrate)$/;

/** Tasks after which a guest may run, or not, or run elsewhere. */
const unsettling =
  /^(?:(?:qm|vz)(?:start|stop|shutdown|reboot|reset|suspend|resume|pause|create|restore|destroy|migrate|rollback)|qmigrate|ha(?:start|stop|migrate)|startall|stopall|suspendall|migrateall|bulk-.*)$/;

/**
 * What a task may change; `endedAt` as in Happening. Starts and stops count for all of a guest: they take a lock from its configuration
 * and apply what was pending. PVE: the table of task types is spread over API2; a clone's id is its *source*.
 */
export function happeningOfTask(task: Upid, endedAt: number | undefined): Happening {
  const { type, node } = task;
  const guests = guestsOf(task);
  const touches = guests.map(tags.guest);
  const many = guestTask.test(type) || manyGuests.test(type);
  if (guests.length === 0 && many) touches.push(tags.onNode(node));
  if (storageTask.test(type)) touches.push(tags.anyContent);
  if (type.startsWith("acme")) touches.push(tags.certificates(node));
  return { touches, endedAt, unsettles: unsettling.test(type) };
}

/** The guests that a task works on; where its type does not tell of which kind, one of each. */
function guestsOf({ type, id }: Upid): readonly GuestId[] {
  const either = eitherTask.has(type);
  const guests: GuestId[] = [];
  for (const vmid of vmidsOf(id ?? "")) {
    if (either || type.startsWith("qm")) guests.push({ type: "qemu", vmid });
    if (either || type.startsWith("vz")) guests.push({ type: "lxc", vmid });
  }
  return guests;
}

/** `101`; `100-scsi0>101-scsi1` where a disk goes to another guest. */
function vmidsOf(id: string): readonly number[] {
  const [, first, second] = /^([0-9]{1,9})(?:-[^>]*>([0-9]{1,9})-)?/.exec(id) ?? [];
  return [first, second].filter((vmid) => vmid !== undefined).map(Number);
}

/**
 * A line of the cluster log. Only its fixed beginning is read: what follows is written by people.
 * PVE: RESTEnvironment.pm fork_worker (`starting task`, `end task`), API2/Qemu.pm (`update VM 101: …`)
 */
export function happeningOf(message: string, atMs: number): Happening | undefined {
  const [, verb, upid] = /^(starting|end) task (UPID:[^\s]{1,250}:)/.exec(message) ?? [];
  if (upid !== undefined) {
    const task = parseUpid(upid);
    return task && happeningOfTask(task, verb === "end" ? atMs : undefined);
  }
  const [, kind, vmid] = /^[a-z ]{1,40} (VM|CT|container) ([0-9]{1,9})\b/i.exec(message) ?? [];
  if (vmid === undefined) return undefined;
  const type = kind?.toUpperCase() === "VM" ? "qemu" : "lxc";
  const touches = [tags.guest({ type, vmid: Number(vmid) })];
  return { touches, endedAt: atMs, unsettles: false };
}
