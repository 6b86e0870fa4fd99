import { bytes } from "../../text.ts";
import type { Call } from "../api/call.ts";

/** A file of this computer, read piece by piece; each `open` begins anew. */
export interface UploadSource {
  readonly name: string;
  readonly sizeBytes: number;
  open(): AsyncIterable<Uint8Array>;
}

/** A file on its way, and how far it has come. */
export interface Sending {
  open(): AsyncIterable<Uint8Array>;
  readonly totalBytes: number;
  /** Of the last attempt: what was handed to the connection and asked on from. */
  readonly sentBytes: number;
  /** Why the file could not be read to its end. */
  readonly failure: unknown;
}

/** How often a caller hears of it: a hundred times, and not for less than this. */
const leastBytes = 4 * 1024 ** 2;

/** The file's pieces while its checksum is calculated; ends with the signal's reason when the caller gives up. */
export async function* reading(source: UploadSource, call: Call): AsyncGenerator<Uint8Array> {
  const tell = teller(source.sizeBytes);
  let done = 0;
  for await (const piece of source.open()) {
    call.signal.throwIfAborted();
    yield piece;
    done += piece.length;
    if (tell(done))
      call.progress?.({ message: `checksum of ${source.name}: ${percent(done, source)}` });
  }
}

/** The file's pieces as they are sent; `open` begins anew for another attempt. */
export function sending(source: UploadSource, call: Call): Sending {
  const state = { sentBytes: 0, failure: undefined as unknown };
  const tell = teller(source.sizeBytes);
  return {
    totalBytes: source.sizeBytes,
    get sentBytes() {
      return state.sentBytes;
    },
    get failure() {
      return state.failure;
    },
    async *open() {
      state.sentBytes = 0;
      try {
        for await (const piece of source.open()) {
          // A change that was sent is followed to its answer whoever gives up; this one has not been sent yet.
          call.signal.throwIfAborted();
          yield piece;
          state.sentBytes += piece.length;
          if (!tell(state.sentBytes)) continue;
          const done = state.sentBytes / source.sizeBytes;
          call.progress?.({ done, message: `sent ${percent(state.sentBytes, source)}` });
        }
      } catch (error) {
        state.failure = error;
        throw error;
      }
    },
  };
}

function percent(done: number, { sizeBytes }: UploadSource): string {
  return `${bytes(done)} of ${bytes(sizeBytes)}`;
}

/** Whether it is time to say something again. */
function teller(total: number): (done: number) => boolean {
  const step = Math.max(leastBytes, total / 100);
  let next = 0;
  return (done) => {
    if (done < next && done < total) return false;
    next = done + step;
    return true;
  };
}
