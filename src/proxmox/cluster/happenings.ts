import { tags } from "../api/freshness.ts";
import { type GuestId, parseUpid, type Upid } from "../api/values.ts";

/** Something that has happened or is happening in the cluster, and the tags of what it may have changed. */
export interface Happening {
  readonly touches: readonly string[];
  /** When it ended, in ms by the host's clock (whole seconds); undefined while it runs. */
  readonly endedAt: number | undefined;
  /** Known to have come since the last look for news; otherwise only clocks tell whether an answer is from before it. */
  readonly isNew: boolean;
  /** Present where it may leave guests in another state, behind which their rows lag for a while. */
  readonly unsettles?: Unsettled;
}

export interface Unsettled {
  readonly guests: readonly GuestId[];
  /** What a row says that has caught up (`running`, `stopped`), where that is known. */
  readonly status: string | undefined;
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

/**
 * Tasks that do no more to a VM than to start or stop it. A container's configuration can be edited without a trace, and often is
 * before it is started anew: all of it is read again.
 */
const onlyRunning = /^qm(?:start|stop|shutdown|reboot|reset|pause)$/;
/** Tasks after which a guest may run, or not, or have run anew. */
const unsettling =
  /^(?:(?:qm|vz)(?:start|stop|shutdown|reboot|reset|suspend|resume|pause|create|restore|destroy|migrate|rollback)|qmigrate|ha(?:start|stop|migrate)|startall|stopall|suspendall|migrateall|bulk-.*)$/;
const starts = /^(?:qm|vz)start$/;
const stops = /^(?:qm|vz)(?:stop|shutdown)$/;
/** Takes a guest elsewhere, as it is; where it is stands in its row at once. */
const moves = /^(?:qmigrate|vzmigrate)$/;

/** What is known of a task's end. */
export interface TaskEnd extends Pick<Happening, "endedAt" | "isNew"> {
  /** PVE's word on how it has ended: `OK`, or an error; undefined while it runs. */
  readonly status: string | undefined;
}

/** What a task may change. PVE: the table of task types is spread over API2; a clone's id is its *source*. */
export function happeningOfTask(task: Upid, { endedAt, isNew, status }: TaskEnd): Happening {
  const { type, node } = task;
  const guests = guestsOf(task);
  const touches = guests.map(tags[onlyRunning.test(type) ? "running" : "guest"]);
  const many = guestTask.test(type) || manyGuests.test(type);
  if (guests.length === 0 && many) touches.push(tags.onNode(node));
  if (storageTask.test(type)) touches.push(tags.anyContent);
  if (type.startsWith("acme")) touches.push(tags.certificates(node));
  const went = status === "OK";
  const unsettles = unsettling.test(type) && !(went && moves.test(type));
  return {
    touches,
    endedAt,
    isNew,
    ...(unsettles && { unsettles: { guests, status: went ? leaves(type) : undefined } }),
  };
}

/** What a task of this type leaves its guest as, where that is certain. */
function leaves(type: string): string | undefined {
  if (starts.test(type)) return "running";
  return stops.test(type) ? "stopped" : undefined;
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
export function happeningOf(message: string, atMs: number, isNew: boolean): Happening | undefined {
  const [, verb, upid, status] =
    /^(starting|end) task (UPID:[^\s]{1,250}:)(?: (OK)$)?/.exec(message) ?? [];
  if (upid !== undefined) {
    const task = parseUpid(upid);
    if (!task) return undefined;
    const endedAt = verb === "end" ? atMs : undefined;
    return happeningOfTask(task, { endedAt, isNew, status });
  }
  const [, kind, vmid] = /^[a-z ]{1,40} (VM|CT|container) ([0-9]{1,9})\b/i.exec(message) ?? [];
  if (vmid === undefined) return undefined;
  const type = kind?.toUpperCase() === "VM" ? "qemu" : "lxc";
  const touches = [tags.guest({ type, vmid: Number(vmid) })];
  return { touches, endedAt: atMs, isNew };
}
