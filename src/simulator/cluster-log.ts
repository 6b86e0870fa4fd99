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

/** PVE: pmxcfs logger.c, CLOG_DEFAULT_SIZE and the head of clog_entry_t. */
const ringBytes = 128 * 1024;
const headBytes = 44;

/** The cluster-wide log ring of pmxcfs (logger.c). */
export class ClusterLog {
  readonly #entries: LogEntry[] = [];
  #bytes = 0;
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
    this.#bytes += sizeOf(msg, node, user);
    while (this.#bytes > ringBytes) {
      const oldest = this.#entries.shift();
      this.#bytes -= oldest ? sizeOf(oldest.msg, oldest.node, oldest.user) : this.#bytes;
    }
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

/** Of an entry in the ring, its texts with their closing zeros. */
function sizeOf(msg: string, node: string, user: string): number {
  const tag = "pvedaemon";
  return headBytes + [msg, node, user, tag].reduce((sum, words) => sum + words.length + 1, 0);
}
