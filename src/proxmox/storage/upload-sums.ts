import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import type { Checksum } from "./download-source.ts";
import { reading, type UploadSource } from "./upload-progress.ts";
import type { Volume } from "./volumes.ts";

/** Of a file as it lies here. */
export interface Sums {
  /** In the algorithm of the one that was given, else SHA-256: for Proxmox. */
  readonly told: Checksum;
  /** For our memory. */
  readonly sha256: string;
}

/** Compared first with the one that was given, for which nothing has to be sent. */
export async function digest(
  source: UploadSource,
  expected: Checksum | undefined,
  call: Call,
): Promise<Sums> {
  const algorithm = expected?.algorithm ?? "sha256";
  const told = createHash(algorithm);
  const own = createHash("sha256");
  for await (const piece of reading(source, call)) {
    told.update(piece);
    if (algorithm !== "sha256") own.update(piece);
  }
  const value = told.digest("hex");
  if (expected !== undefined && expected.value.toLowerCase() !== value) {
    throw new Problem(
      "invalid_input",
      `${source.name} has another checksum: ${algorithm} ${value} instead of ${expected.value}. Nothing was sent.`,
      {
        next: "Get the file again, or leave checksum out if this file is the right one.",
        facts: { argument: "checksum", algorithm, checksum: value },
      },
    );
  }
  const sha256 = algorithm === "sha256" ? value : own.digest("hex");
  return { told: { algorithm, value }, sha256 };
}

/** What we have uploaded ourselves. Proxmox tells no checksum of a file that it has: nobody else can say what is in it. */
export class KnownUploads {
  readonly #sums = new LRUCache<string, string>({ max: 200 });

  /** `volume` as Proxmox lists it once it is there. */
  learn(volume: Volume, sha256: string): void {
    this.#sums.set(keyOf(volume), sha256);
  }

  /** The SHA-256 of what lies there; undefined where it is not, or no longer, what we have sent. */
  sumOf(volume: Volume): string | undefined {
    return this.#sums.get(keyOf(volume));
  }
}

/** A file that was written anew has another time, so another key. */
function keyOf({ volid, node, shared, sizeBytes, createdAt }: Volume): string {
  return [shared ? "" : node, volid, sizeBytes, createdAt].join(" ");
}
