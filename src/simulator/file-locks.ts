import type { TaskLog, Work } from "./tasks.ts";
import { TaskFailure } from "./tasks.ts";
import type { GuestType } from "./world.ts";

/** Milliseconds between two looks at a lock that somebody else holds. */
const pollMs = 100;

/** The flock of each guest on its node (PVE::AbstractConfig lock_config*): one writer or many sharers. */
export class FileLocks {
  readonly #exclusive = new Set<number>();
  readonly #shared = new Map<number, number>();

  tryExclusive(vmid: number): boolean {
    if (this.#exclusive.has(vmid) || this.#shared.has(vmid)) return false;
    this.#exclusive.add(vmid);
    return true;
  }

  tryShared(vmid: number): boolean {
    if (this.#exclusive.has(vmid)) return false;
    this.#shared.set(vmid, (this.#shared.get(vmid) ?? 0) + 1);
    return true;
  }

  releaseExclusive(vmid: number): void {
    this.#exclusive.delete(vmid);
  }

  releaseShared(vmid: number): void {
    const left = (this.#shared.get(vmid) ?? 0) - 1;
    if (left > 0) this.#shared.set(vmid, left);
    else this.#shared.delete(vmid);
  }

  /** Runs a worker's body under the exclusive lock, waiting up to `waitMs` for it. */
  *hold(
    guest: { readonly vmid: number; readonly type: GuestType },
    log: TaskLog,
    body: () => Work,
    waitMs = 10_000,
  ): Work {
    yield* this.#wait(() => this.tryExclusive(guest.vmid), guest, log, waitMs);
    try {
      yield* body();
    } finally {
      this.releaseExclusive(guest.vmid);
    }
  }

  /** The same with the shared lock of a clone's source. */
  *share(
    guest: { readonly vmid: number; readonly type: GuestType },
    log: TaskLog,
    body: () => Work,
    waitMs = 1000,
  ): Work {
    yield* this.#wait(() => this.tryShared(guest.vmid), guest, log, waitMs);
    try {
      yield* body();
    } finally {
      this.releaseShared(guest.vmid);
    }
  }

  *#wait(
    take: () => boolean,
    guest: { readonly vmid: number; readonly type: GuestType },
    log: TaskLog,
    waitMs: number,
  ): Work {
    if (take()) return;
    log.print("trying to acquire lock...");
    for (let waited = 0; waited < waitMs; waited += pollMs) {
      yield pollMs;
      if (take()) return log.append(" OK");
    }
    throw new TaskFailure(lockTimeout(guest));
  }
}

/** The text of a flock that was not free in time. */
export function lockTimeout(guest: { readonly vmid: number; readonly type: GuestType }): string {
  const file =
    guest.type === "qemu"
      ? `/var/lock/qemu-server/lock-${guest.vmid}.conf`
      : `/run/lock/lxc/pve-config-${guest.vmid}.lock`;
  return `can't lock file '${file}' - got timeout`;
}
