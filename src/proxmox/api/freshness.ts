import type { Tag } from "../../cache/store.ts";
import type { GuestId } from "./values.ts";

const second = 1000;

export interface Age {
  /** Served without asking for this long, in ms. */
  readonly trustedMs: number;
  /** Served up to this age if a sweep says that nothing happened to it, or to a caller who asks for older answers, in ms. */
  readonly keptMs: number;
  /** Whether sweeps vouch for it between the two. */
  readonly swept?: boolean;
}

/** How long each kind of answer is trusted and kept. The one table; every figure is PVE's pace or a bound on staleness. */
export const defaultAges = {
  inventory: { trustedMs: 10 * second, keptMs: 120 * second },
  guestStatus: { trustedMs: 5 * second, keptMs: 5 * second },
  guestConfig: { trustedMs: 10 * second, keptMs: 120 * second, swept: true },
  guestAgent: { trustedMs: 30 * second, keptMs: 120 * second, swept: true },
  nodeStatus: { trustedMs: 5 * second, keptMs: 5 * second },
  clusterStatus: { trustedMs: 5 * second, keptMs: 5 * second },
  storageContent: { trustedMs: 30 * second, keptMs: 60 * second, swept: true },
  jobs: { trustedMs: 30 * second, keptMs: 30 * second },
  certificates: { trustedMs: 30 * second, keptMs: 30 * second },
  permissions: { trustedMs: 60 * second, keptMs: 60 * second },
  version: { trustedMs: 3600 * second, keptMs: 3600 * second },
  metrics: { trustedMs: 60 * second, keptMs: 60 * second },
  tasks: { trustedMs: 2 * second, keptMs: 10 * second },
  stoppedTask: { trustedMs: Number.POSITIVE_INFINITY, keptMs: Number.POSITIVE_INFINITY },
  never: { trustedMs: 0, keptMs: 0 },
} as const satisfies Readonly<Record<string, Age>>;

export type AgeKind = keyof typeof defaultAges;
export type Ages = Readonly<Record<AgeKind, Age>>;

/** What an answer's life depends on: its kind's ages, and that nothing it is about changes. */
export interface Dependence {
  readonly kind: AgeKind;
  readonly tags: readonly Tag[];
}

const onNode = "guests-on:";
const guest = "guest:";
const row = "row:";

export const tags = {
  inventory: "inventory",
  tasks: "tasks",
  jobs: "jobs",
  cluster: "cluster",
  access: "access",
  guest: (id: GuestId): Tag => `${guest}${id.type}/${id.vmid}`,
  /** What the rows of the inventory say of this guest: who needs another's does not ask again. */
  row: (id: GuestId): Tag => `${row}${id.type}/${id.vmid}`,
  node: (node: string): Tag => `node:${node}`,
  /** Everything that is known of guests on this node. */
  onNode: (node: string): Tag => `${onNode}${node}`,
  storageContent: (storage: string): Tag => `storage:${storage}/content`,
  /** The content of every storage: most tasks do not say which they changed. */
  anyContent: "storage-content",
  certificates: (node: string): Tag => `node:${node}/certificates`,
  /** Never raised: it keeps what was asked of a task after its end apart from what was asked before. */
  stoppedTask: "stopped-task",
};

/** The node of which `tags.onNode` speaks; undefined for another tag. */
export function nodeOf(tag: Tag): string | undefined {
  return tag.startsWith(onNode) ? tag.slice(onNode.length) : undefined;
}

export function isRow(tag: Tag): boolean {
  return tag.startsWith(row);
}

/** The rows of the guests among these tags. */
export function rowsOf(touches: readonly Tag[]): readonly Tag[] {
  return touches.filter((tag) => tag.startsWith(guest)).map((tag) => tag.replace(guest, row));
}

/** Of an answer of this kind about what these tags name. */
export function fresh(kind: AgeKind, ...dependsOn: readonly Tag[]): Dependence {
  return { kind, tags: dependsOn };
}

/** What a read of one guest on its node depends on. */
export function guestTags(guest: GuestId & { readonly node: string }): readonly Tag[] {
  return [tags.guest(guest), tags.onNode(guest.node)];
}
