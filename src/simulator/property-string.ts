/** Reads `a,b=c,d=e`; a piece without `=` is filed under `defaultKey`. The simulator's own reading, shared with no client. */
export function readProperties(text: string, defaultKey: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const piece of text.split(",")) {
    if (piece.trim() === "") continue;
    const at = piece.indexOf("=");
    if (at < 0) found[defaultKey] = piece;
    else found[piece.slice(0, at)] = piece.slice(at + 1);
  }
  return found;
}

/** Writes PVE's normal form: the default key first and bare, the others sorted. */
export function writeProperties(values: Record<string, string>, defaultKey: string): string {
  const rest = Object.keys(values).filter((key) => key !== defaultKey);
  rest.sort();
  const first = values[defaultKey];
  const pieces = first === undefined ? [] : [first];
  return [...pieces, ...rest.map((key) => `${key}=${values[key]}`)].join(",");
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

/** `32G`, `4M`, `528K` or plain bytes; undefined for anything else. */
export function readSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text);
  const unit = units[match?.[2] ?? ""];
  return match?.[1] === undefined || unit === undefined ? undefined : Number(match[1]) * unit;
}

/** The largest unit that needs no fraction, as PVE writes sizes into configs. */
export function writeSize(bytes: number): string {
  for (const unit of ["T", "G", "M", "K"]) {
    const factor = units[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
