/** Shorter pieces are words that anybody may use. */
const pieceLength = 16;

/**
 * The text without any piece of the secrets, however it was cut or folded: a refusal may quote the beginning of a key, in one
 * line or with its line breaks spelled out. A word that shares 16 characters with a secret is masked as a whole.
 */
export function withoutPieces(text: string, secrets: readonly string[]): string {
  const bodies = secrets.map((secret) => secret.replace(/-----[^-]*-----|\s/g, ""));
  if (bodies.every((body) => body.length < pieceLength)) return text;
  const holds = (word: string) => {
    for (let at = 0; at + pieceLength <= word.length; at++) {
      const piece = word.slice(at, at + pieceLength);
      if (bodies.some((body) => body.includes(piece))) return true;
    }
    return false;
  };
  return text.replace(/[^\s"'\\]{16,}/g, (word) => (holds(word) ? "[secret]" : word));
}
