import { Problem } from "../../problem.ts";
import { type GuestId, guestWords } from "../api/values.ts";

interface Restored extends GuestId {
  readonly node: string;
  readonly name?: string | undefined;
}

/**
 * A restore that failed in its task, with what it leaves. A VM that was to be written over has lost its disks by then, if it came that
 * far, and a new one stays as it is; only a new container is taken away again. PVE: qemu-server src/PVE/API2/Qemu.pm (create_vm),
 * pve-container src/PVE/API2/LXC.pm (create_vm)
 */
export function afterFailure(problem: Problem, guest: Restored, over: boolean): Problem {
  if (problem.kind !== "task_failed" && problem.kind !== "forbidden") return problem;
  const { vmid, type, node } = guest;
  const left = over || type === "qemu";
  const facts = { ...problem.facts, vmid, type, node, left };
  const more = over ? lost(guest) : left ? halfMade(guest) : cleared(guest);
  return new Problem(problem.kind, `${problem.message}\n${more.says}`, {
    next: `${more.next} ${problem.next ?? ""}`.trim(),
    facts,
    cause: problem,
  });
}

function lost(guest: Restored) {
  const get = guest.type === "qemu" ? "get_vm {vm" : "get_container {container";
  return {
    says: `${guestWords(guest, guest.name)} on ${guest.node} is still there, but its old disks and snapshots may be gone, and the backup is not in their place: Proxmox cleans nothing up.`,
    next: `Don't start it; see with ${get}: "${guest.vmid}"} what is left, and repeat this restore when the cause is mended: it writes over the rest.`,
  };
}

function halfMade(guest: Restored) {
  return {
    says: `${guestWords(guest)} on ${guest.node} is left, without a name and without its disks: Proxmox cleans nothing up.`,
    next: `Delete it with delete_guest {guest: "${guest.vmid}"}.`,
  };
}

function cleared(guest: Restored) {
  return { says: `${guestWords(guest)} on ${guest.node} was taken away again.`, next: "" };
}
