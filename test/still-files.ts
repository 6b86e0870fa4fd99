import type { FileSource, Files } from "../src/files.ts";
import type { VirtualClock } from "../src/simulator/clock.ts";

/** The clock stands still while files are read: that takes real time, and no virtual second may pass meanwhile. */
export function stillFiles(files: Files, clock: VirtualClock): Files {
  const held = async <T>(work: Promise<T>): Promise<T> => {
    const release = clock.hold();
    try {
      return await work;
    } finally {
      release();
    }
  };
  return {
    text: (path, argument) => held(files.text(path, argument)),
    source: async (path, argument) => {
      const source = await held(files.source(path, argument));
      return { ...source, open: () => pieces(source, clock) };
    },
  };
}

async function* pieces(source: FileSource, clock: VirtualClock): AsyncGenerator<Uint8Array> {
  const release = clock.hold();
  try {
    yield* source.open();
  } finally {
    release();
  }
}
