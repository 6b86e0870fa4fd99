import { certificateS, keptS, laggingS, type Promised, rowsS } from "../../../bench/promised.ts";
import { type Volume, volumeKey } from "../../../src/simulator/world.ts";
import type { Tool } from "../../../src/tool.ts";
import { listCertificates } from "../../../tools/certificates.ts";
import { getContainer, getVm } from "../../../tools/get-guest.ts";
import { listGuests } from "../../../tools/list-guests.ts";
import { listStorage } from "../../../tools/list-storage.ts";
import type { Lab } from "../../kit.ts";
import type { OutsideChange, Seen, View } from "./watch.ts";

interface Row {
  readonly vmid: number;
  readonly name?: string;
  readonly status?: string;
  readonly node?: string;
  readonly tags?: readonly string[];
}

function list<T>(seen: Seen, key: string): readonly T[] {
  return (seen?.[key] ?? []) as readonly T[];
}

/** Guests of the demo cluster, by how they are looked at. */
const vms = [102, 301, 103, 121, 141, 151, 211, 303];
const containers = [200, 201, 202, 203, 205, 210, 304, 311];
const toolFor = (vmid: number) => (containers.includes(vmid) ? getContainer : getVm);

export function listed(
  vmid: number,
  boundS: number,
  isOld: (row: Row | undefined, round: number) => boolean,
): View {
  const row = (seen: Seen) => list<Row>(seen, "guests").find((one) => one.vmid === vmid);
  return {
    says: "list_guests",
    tool: listGuests,
    args: () => ({ limit: 500 }),
    boundS,
    isOld: (seen, round) => isOld(row(seen), round),
  };
}

export function looked(reference: number | string, boundS: number, isOld: View["isOld"]): View {
  const tool: Tool = typeof reference === "number" ? toolFor(reference) : getVm;
  const argument = tool === getVm ? "vm" : "container";
  const says = `${tool.name} by ${typeof reference === "number" ? "vmid" : "name"}`;
  return { says, tool, args: () => ({ [argument]: String(reference) }), boundS, isOld };
}

/** Finds nobody until rows or others' edits tell of the new name. */
export function sought(vmid: number, name: (round: number) => string): View {
  const tool: Tool = toolFor(vmid);
  return {
    says: `${tool.name} by its new name`,
    tool,
    args: (round) => ({ [tool === getVm ? "vm" : "container"]: name(round) }),
    boundS: laggingS,
    isOld: (seen) => seen === undefined,
  };
}

/** A word that is another one in every round. */
export const word = (stem: string, round: number) => `${stem}-${round}`;

export function appearances({ simulator: { outside } }: Lab): readonly OutsideChange[] {
  return [1, 2, 3].flatMap((lane): readonly OutsideChange[] => {
    const doomed = { vmid: 700 + lane, name: `doomed-${lane}`, node: `pve${lane}` };
    const born = { vmid: 710 + lane, name: `born-${lane}`, node: `pve${lane}` };
    outside.create(doomed);
    return [
      {
        says: "deletes a guest",
        change: () => outside.destroy(doomed.vmid),
        restore: () => void outside.create(doomed),
        restMs: 25_000,
        views: [
          listed(doomed.vmid, rowsS, (row) => row !== undefined),
          looked(doomed.name, rowsS, (seen) => seen !== undefined),
          looked(doomed.vmid, rowsS, (seen) => seen !== undefined),
        ],
      },
      {
        says: "makes a guest",
        change: () => void outside.create(born),
        restore: () => outside.destroy(born.vmid),
        restMs: 25_000,
        views: [
          listed(born.vmid, rowsS, (row) => row === undefined),
          looked(born.name, rowsS, (seen) => seen === undefined),
          looked(born.vmid, rowsS, (seen) => seen === undefined),
        ],
      },
    ];
  });
}

export function attributes(
  { simulator: { outside } }: Lab,
  { vmEdit }: Promised,
): readonly OutsideChange[] {
  const node = (round: number) => (round % 2 === 1 ? "pve3" : "pve1");
  const tag = (round: number) => word("tag", round);
  const name = (round: number) => word("web", round);
  return [
    {
      says: "renames a VM",
      change: (round) => outside.rename(102, name(round)),
      views: [
        listed(102, laggingS, (row, round) => row?.name !== name(round)),
        looked(102, Math.min(vmEdit, laggingS), (seen, round) => seen?.["name"] !== name(round)),
      ],
    },
    {
      says: "migrates a VM",
      change: (round) => outside.migrate(301, node(round)),
      views: [
        listed(301, rowsS, (row, round) => row?.node !== node(round)),
        looked(301, rowsS, (seen, round) => seen?.["node"] !== node(round)),
      ],
    },
    ...[103, 203].map(
      (vmid): OutsideChange => ({
        says: `tags a ${vmid === 103 ? "VM" : "container"}`,
        change: (round) => outside.setConfig(vmid, { tags: tag(round) }),
        views: [
          listed(vmid, rowsS, (row, round) => row?.tags?.[0] !== tag(round)),
          looked(vmid, rowsS, (seen, round) => list<string>(seen, "tags")[0] !== tag(round)),
        ],
      }),
    ),
  ];
}

export function states({ simulator: { outside, world } }: Lab): readonly OutsideChange[] {
  const runs = (vmid: number) => world.guests.get(vmid)?.run.status === "running";
  const views = (vmid: number, before: string) => [
    listed(vmid, laggingS, (row) => row?.status === before),
    looked(vmid, laggingS, (seen) => seen?.["status"] === before),
  ];
  const restMs = 30_000;
  return [720, 730, 740].flatMap((vmid, lane): readonly OutsideChange[] => {
    const node = `pve${lane + 1}`;
    const [off, own, idle] = [vmid, vmid + 1, vmid + 2] as const;
    for (const one of [off, own, idle])
      outside.create({ vmid: one, name: `switched-${one}`, node });
    for (const one of [off, own]) outside.start(one);
    return [
      {
        says: "stops a VM",
        change: () => void outside.stop(off),
        hasHappened: () => !runs(off),
        restore: () => void outside.start(off),
        restMs,
        views: views(off, "running"),
      },
      {
        says: "starts a VM",
        change: () => void outside.start(idle),
        hasHappened: () => runs(idle),
        restore: () => void outside.stop(idle),
        restMs,
        views: views(idle, "stopped"),
      },
      {
        says: "lets a guest switch itself off",
        change: () => outside.powerOff(own),
        restore: () => void outside.start(own),
        restMs,
        views: views(own, "running"),
      },
    ];
  });
}

export function edits(
  { simulator: { outside } }: Lab,
  { vmEdit }: Promised,
): readonly OutsideChange[] {
  const notes = (round: number) => word("notes", round);
  const shown = (seen: Seen) => (seen?.["config"] as { notes?: string } | undefined)?.notes;
  const edit = (vmid: number, says: string, boundS: number): OutsideChange => ({
    says,
    change: (round) => outside.setConfig(vmid, { description: notes(round) }),
    views: [looked(vmid, boundS, (seen, round) => shown(seen) !== notes(round))],
  });
  return [
    ...vms.slice(3).map((vmid) => edit(vmid, "reconfigures a VM", vmEdit)),
    ...containers.map((vmid) => edit(vmid, "reconfigures a container", keptS)),
  ];
}

export function others(
  { simulator: { outside, world } }: Lab,
  { content }: Promised,
  certificates: readonly string[],
): readonly OutsideChange[] {
  const upload = (storage: string, lane: number): OutsideChange => {
    const file = (round: number) => `${storage}-${lane}-${round}.iso`;
    let volume: Volume | undefined;
    const has = (seen: Seen, round: number) =>
      list<{ volid: string }>(seen, "volumes").some(({ volid }) => volid.endsWith(file(round)));
    return {
      says: `uploads to a ${storage === "local" ? "local" : "shared"} storage`,
      change: (round) => {
        volume = outside.upload(storage, "pve1", file(round));
      },
      restore: () => void (volume && world.volumes.delete(volumeKey(volume.volid, volume.node))),
      views: [
        {
          says: "list_storage",
          tool: listStorage,
          args: () => ({ storage, content: "iso", limit: 500 }),
          boundS: content,
          isOld: (seen, round) => !has(seen, round),
        },
      ],
    };
  };
  return [
    ...["nfs-shared", "local"].flatMap((storage) =>
      [1, 2, 3, 4].map((lane) => upload(storage, lane)),
    ),
    ...["pve1", "pve2", "pve3"].map((node): OutsideChange => {
      let now = "";
      const shows = (seen: Seen) =>
        list<{ fingerprint?: string }>(seen, "certificates").some(
          ({ fingerprint }) => fingerprint === now,
        );
      return {
        says: "replaces a certificate",
        change: (round) => {
          const pem = certificates[round % certificates.length] ?? "";
          now = outside.replaceCertificate(node, pem).fingerprint;
        },
        views: [
          {
            says: "list_certificates",
            tool: listCertificates,
            args: () => ({ node, limit: 100 }),
            boundS: certificateS,
            isOld: (seen) => !shows(seen),
          },
        ],
      };
    }),
  ];
}
