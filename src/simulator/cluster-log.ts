/** An entry of GET /cluster/log. */
export interface LogEntry {
  /** Counts up per node; a string in answers. */
  readonly uid: string;
  /** Unix seconds. */
  readonly time: number;
  readonly pri: number;
  readonly tag: string;
  readonly pid: number;
  readonly node: string;
  /** Who caused it: `user@realm` or `user@realm!token`. */
  readonly user: string;
  readonly msg: string;
  /** `uid:node`. */
  readonly id: string;
}

/** About what 128 KiB hold. */
const ringSize = 700;

/** The cluster-wide log ring of pmxcfs (logger.c). */
export class ClusterLog {
  #entries: LogEntry[] = [];
  readonly #uids = new Map<string, number>();

  /** `now`: milliseconds since the epoch. */
  write(now: number, node: string, user: string, msg: string): void {
    const uid = (this.#uids.get(node) ?? 0) + 1;
    this.#uids.set(node, uid);
    const time = Math.floor(now / 1000);
    const pid = 1200 + (uid % 3);
    const id = `${uid}:${node}`;
    this.#entries.push({
      uid: String(uid),
      time,
      pri: 6,
      tag: "pvedaemon",
      pid,
      node,
      user,
      msg,
      id,
    });
    if (this.#entries.length > ringSize) this.#entries = this.#entries.slice(-ringSize);
  }

  /** The host has booted: its pmxcfs counts from 1 again, and the others still have its older lines. */
  restart(node: string): void {
    this.#uids.delete(node);
  }

  /** Newest first; `reader` restricts the answer to one user's own entries. */
  read(max: number, reader?: string): LogEntry[] {
    const visible = this.#entries.filter((entry) => reader === undefined || entry.user === reader);
    return visible.slice(-max).reverse();
  }
}
