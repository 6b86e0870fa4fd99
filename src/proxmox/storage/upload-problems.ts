import { grantWords } from "../../http/permission.ts";
import { Problem } from "../../problem.ts";
import { bytes } from "../../text.ts";
import type { Volume } from "./volumes.ts";

/** Under that name there is something else, by its size. */
export function otherFile(
  { volid, node, sizeBytes }: Volume,
  source: { readonly sizeBytes: number },
): Problem {
  const size = sizeBytes === undefined ? "" : ` with ${sizeBytes} bytes`;
  return new Problem(
    "conflict",
    `Another file is there as ${volid}${size}; the one to be uploaded has ${source.sizeBytes}. Nothing was sent.`,
    {
      next: "Choose another filename, or repeat the call with overwrite: true to replace it.",
      facts: { volid, node, sizeBytes, uploadBytes: source.sizeBytes },
    },
  );
}

/** Of the same size, and we have sent something else there. */
export function otherContent({ volid, node, sizeBytes }: Volume): Problem {
  return new Problem(
    "conflict",
    `Another file of the same size is there as ${volid}: it has another checksum. Nothing was sent.`,
    {
      next: "Choose another filename, or repeat the call with overwrite: true to replace it.",
      facts: { volid, node, sizeBytes },
    },
  );
}

/** A checksum was given, and nobody can say whether what is there has it. PVE: GET …/content/{volume} tells size and format only. */
export function incomparable({ volid, node, sizeBytes }: Volume): Problem {
  return new Problem(
    "conflict",
    `A file of the same size is there as ${volid}; whether it has this checksum can't be known, as Proxmox tells none of what it stores. Nothing was sent.`,
    {
      next: "Repeat the call with overwrite: true to send it anew, or without checksum to be content with the size.",
      facts: { volid, node, sizeBytes },
    },
  );
}

/** The caller gave up, the file itself could not be read to its end (both before PVE had it), or nobody can say what became of it. */
export function broken(
  { message, facts, cause }: Problem,
  file: { readonly sentBytes: number; readonly totalBytes: number; readonly failure: unknown },
  { volid, storage }: { readonly volid: string; readonly storage: string },
): unknown {
  const { sentBytes, totalBytes, failure } = file;
  if (failure !== undefined) return failure;
  const torn =
    sentBytes < totalBytes
      ? ` ${bytes(sentBytes)} of ${bytes(totalBytes)} had left; Proxmox keeps nothing of a file that did not come whole.`
      : " The whole file had left.";
  return new Problem("outcome_unknown", `${message}${torn}`, {
    next: `See with list_storage {storage: "${storage}", max_age_s: 0} whether ${volid} is there with ${totalBytes} bytes, and with get_tasks whether its import (imgcopy) still runs, before you repeat it.`,
    facts: { ...facts, volid, sentBytes, totalBytes },
    cause,
  });
}

/** What uploading needs on the storage. PVE: pve-storage src/PVE/API2/Storage/Status.pm (upload) */
export const privilege = "Datastore.AllocateTemplate";

export function mayNotUpload(at: string, principal: string): Problem {
  const role = "PVEDatastoreAdmin";
  return new Problem(
    "forbidden",
    `Uploading needs ${privilege} on ${at}, which ${principal} lacks. Nothing was sent.`,
    {
      next: grantWords(at, role, principal),
      facts: { path: at, privileges: [privilege], role },
    },
  );
}
