/** Takes credentials out of texts, in each form in which they may come back. */
export interface Scrubber {
  clean(text: string): string;
  /** Secrets that were not known before. The latest few are kept: older tickets are recognised by their shape. */
  learn(...secrets: readonly string[]): void;
}

/** Shorter ones would blank out innocent words, which hides nothing and ruins the text. */
const minLength = 4;
const learned = 16;

/**
 * Tickets and CSRF tokens as PVE makes them, plain and percent-encoded.
 * PVE: pve-common src/PVE/Ticket.pm (assemble_rsa_ticket, assemble_csrf_prevention_token)
 */
const shapes: readonly RegExp[] = [
  /\bPVE[A-Z]*(?::|%3A)[^\s,;"']*?[0-9A-F]{8}(?::|%3A){2}(?:[A-Za-z0-9+/=]|%2B|%2F|%3D)+/giu,
  /\b[0-9A-F]{8}(?::|%3A)(?:[A-Za-z0-9+/]|%2B|%2F){43}(?:=|%3D)?(?![A-Za-z0-9+/])/giu,
];

/** A scrubber of these secrets for good, and of what it learns. */
export function scrubber(secrets: readonly string[]): Scrubber {
  let later: readonly string[] = [];
  return {
    learn: (...more) => {
      later = [...later, ...more].slice(-learned);
    },
    clean: (text) => {
      const known = [...secrets, ...later].filter(({ length }) => length >= minLength);
      const needles = [...new Set(known.flatMap(forms))]
        // The longest first: a secret that begins like another must not leave its tail behind.
        .sort((a, b) => b.length - a.length);
      const cleaned = needles.reduce((rest, needle) => rest.replaceAll(needle, "[secret]"), text);
      return shapes.reduce((rest, shape) => rest.replace(shape, "[secret]"), cleaned);
    },
  };
}

/** As it is, in JSON, percent-encoded with digits in either case, and as a form field with `+` for spaces. */
function forms(secret: string): string[] {
  const encoded = encodeURIComponent(secret);
  const strict = encoded.replace(/[!'()*~]/g, percent);
  const escaped = [encoded, strict].flatMap((text) => [text, text.replaceAll("%20", "+")]);
  const lower = escaped.map((text) => text.replace(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase()));
  return [secret, JSON.stringify(secret).slice(1, -1), ...escaped, ...lower];
}

function percent(mark: string): string {
  return `%${mark.charCodeAt(0).toString(16).toUpperCase()}`;
}
