/** Answers what is wrong with a value, undefined when nothing is: the registered formats of PVE::JSONSchema. */
export type Format = (value: string) => string | undefined;

function matching(pattern: RegExp, text: (value: string) => string): Format {
  return (value) => (pattern.test(value) ? undefined : text(value));
}

export const vmidFormat = matching(
  /^[1-9][0-9]{2,8}$/,
  () => "value does not look like a valid VM ID\n",
);
export const nodeFormat = matching(
  /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/,
  () => "value does not look like a valid node name\n",
);
export const dnsNameFormat = matching(
  /^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/,
  () => "value does not look like a valid DNS name\n",
);
export const configIdFormat = matching(
  /^[a-z][a-z0-9_-]+$/i,
  (value) => `invalid configuration ID '${value}'\n`,
);
export const storageIdFormat = matching(
  /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i,
  (value) => `storage ID '${value}' contains illegal characters\n`,
);
export const poolIdFormat = matching(
  /^[A-Za-z0-9.\-_]+(?:\/[A-Za-z0-9.\-_]+){0,2}$/,
  (value) => `pool name '${value}' contains invalid characters\n`,
);
export const userIdFormat = matching(
  /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/,
  (value) => `value '${value}' does not look like a valid user name\n`,
);
export const roleIdFormat = matching(
  /^[A-Za-z0-9.\-_]+$/,
  (value) => `role name '${value}' contains invalid characters\n`,
);
export const tagFormat = matching(
  /^[a-z0-9_][a-z0-9_\-+.]*$/i,
  () => "invalid characters in tag\n",
);
export const volumeIdFormat = matching(
  /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$|^none$|^cdrom$|^\/.+$/i,
  (value) => `unable to parse volume ID '${value}'\n`,
);
export const urlencodedFormat = matching(
  /^[-%a-zA-Z0-9_.!~*'()]*$/,
  () => "invalid urlencoded string\n",
);
export const taskStatusFormat = matching(
  /^(?:ok|error|warning|unknown)$/i,
  (value) => `invalid status '${value}'\n`,
);

/** Each item of a list split at commas, semicolons and white space. */
export function listOf(item: Format): Format {
  return (value) => {
    for (const piece of splitList(value)) {
      const wrong = item(piece);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** Items of a list parameter. */
export function splitList(value: string): string[] {
  return value.split(/[,;\s\0]+/).filter((piece) => piece !== "");
}
