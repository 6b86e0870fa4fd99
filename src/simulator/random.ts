/** A seeded source of numbers in 0..1 (mulberry32): a simulation without its own source is the same every time. */
export function seededRandom(seed = 1): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** `digits` hex digits, lower case. */
function randomHex(random: () => number, digits: number): string {
  let text = "";
  while (text.length < digits) text += Math.floor(random() * 16).toString(16);
  return text;
}

/** A MAC under Proxmox's own prefix. */
export function randomMac(random: () => number): string {
  const tail = [0, 1, 2].map(() => randomHex(random, 2).toUpperCase());
  return ["BC:24:11", ...tail].join(":");
}

export function randomUuid(random: () => number): string {
  return [8, 4, 4, 4, 12].map((digits) => randomHex(random, digits)).join("-");
}

/** A figure in 0..1 that depends on its key only, for usage that moves but never surprises. */
export function steadyFigure(key: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 16_777_619);
  return ((hash ^ (hash >>> 13)) >>> 0) / 4_294_967_296;
}
