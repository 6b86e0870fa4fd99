import { expect, test } from "vitest";
import { toolsets } from "../tools/index.ts";
import { backups } from "./matrix/backups.ts";
import { certificates } from "./matrix/certificates.ts";
import { clones } from "./matrix/clones.ts";
import { creations } from "./matrix/creations.ts";
import { disks } from "./matrix/disks.ts";
import { guests } from "./matrix/guests.ts";
import { reads } from "./matrix/reads.ts";
import { readsOfNodes } from "./matrix/reads-of-nodes.ts";
import { type Matrix, type Outcome, outcomes, play, type Scene } from "./matrix/scene.ts";
import { snapshots } from "./matrix/snapshots.ts";
import { storages } from "./matrix/storages.ts";

const matrix: Matrix = {
  ...reads,
  ...readsOfNodes,
  ...guests,
  ...clones,
  ...creations,
  ...disks,
  ...snapshots,
  ...backups,
  ...storages,
  ...certificates,
};
const names = Object.values(toolsets)
  .flat()
  .map(({ name }) => name);

test("every tool has a row for every outcome, played or with the reason why it can't be", () => {
  expect(Object.keys(matrix).toSorted()).toEqual(names.toSorted());
  for (const [name, rows] of Object.entries(matrix)) {
    expect(Object.keys(rows).toSorted(), name).toEqual([...outcomes].toSorted());
    expect(rows.success, name).not.toHaveProperty("never");
  }
});

const scenes = Object.entries(matrix).flatMap(([name, rows]) =>
  outcomes.flatMap((outcome): [string, Outcome, Scene][] => {
    const row = rows[outcome];
    return row === undefined || "never" in row ? [] : [[name, outcome, row]];
  }),
);

test.each(scenes)("%s: %s", (name, outcome, scene) => play(name, outcome, scene));
