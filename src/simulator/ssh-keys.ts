import { died } from "./refusal.ts";

/** PVE::Tools validate_ssh_public_keys: one key a line. */
export function refuseKeys(text: string): void {
  const wrong = text
    .split("\n")
    .some((line) => line.trim() !== "" && !/^(?:ssh|ecdsa|sk)-\S+ AAAA[\w+/=]+/.test(line));
  if (wrong) throw died("SSH public key validation error");
}

/** A VM's keys are encoded once more than a container's. */
export function unescaped(text: string): string {
  const character = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  return text.replace(/%([0-9a-f]{2})/gi, character);
}
