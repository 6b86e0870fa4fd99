import type { Format } from "./formats.ts";
import { badParameters } from "./refusal.ts";
import { type Given, hash } from "./request.ts";

/** One parameter as PVE::JSONSchema describes it. */
export interface Parameter {
  readonly type: "string" | "integer" | "number" | "boolean" | "array";
  readonly optional?: boolean;
  readonly format?: Format;
  /** A list in one string: arrays are joined with commas. */
  readonly list?: boolean;
  /** A property string: sub-keys, one of them possibly the default key. */
  readonly properties?: Properties;
  readonly pattern?: RegExp;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  /** Another parameter that has to be given too. */
  readonly requires?: string;
  /** For `key[n]`: the highest index. */
  readonly maxIndex?: number;
}

export interface Properties {
  readonly defaultKey?: string;
  readonly keys: Readonly<Record<string, Parameter>>;
  /** `virtio=MAC` stands for `model=virtio,macaddr=MAC`. */
  readonly keyAlias?: {
    readonly of: string;
    readonly values: readonly string[];
    readonly valueTo: string;
  };
}

/** Names to schemas; `net[n]` stands for net0, net1 …. */
export type Parameters = Readonly<Record<string, Parameter>>;

/** What a handler gets: checked values, still as strings. */
export type Values = Readonly<Record<string, string>>;

const unknownText =
  "property is not defined in schema and the schema does not allow additional properties";

/** PVE::JSONSchema validate. Throws 400 with every fault found; array values reach handlers joined by `\0`. */
export function checkParameters(parameters: Parameters, given: Given): Values {
  const errors: Record<string, string> = {};
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    const parameter = lookup(parameters, key);
    if (!parameter) {
      errors[key] = unknownText;
      continue;
    }
    const text = scalar(parameter, value);
    const wrong =
      text === undefined
        ? "type check ('string') failed - got ARRAY"
        : checkValue(parameter, text, key);
    if (wrong !== undefined) errors[key] = wrong;
    else if (text !== undefined) values[key] = text;
    const { requires } = parameter;
    if (requires !== undefined && given[requires] === undefined) {
      errors[requires] = `missing property required by '${key}'`;
    }
  }
  for (const [key, parameter] of Object.entries(parameters)) {
    if (key.endsWith("[n]") || parameter.optional || given[key] !== undefined) continue;
    errors[key] = "property is missing and it is not optional";
  }
  if (Object.keys(errors).length > 0) throw badParameters(errors);
  return values;
}

/** The schema of a key, also of a numbered one. */
export function lookup(parameters: Parameters, key: string): Parameter | undefined {
  if (Object.hasOwn(parameters, key) && !key.endsWith("[n]")) return parameters[key];
  const match = /^([a-z]+)(0|[1-9]\d*)$/.exec(key);
  const numbered = match ? parameters[`${match[1]}[n]`] : undefined;
  return numbered && Number(match?.[2]) <= (numbered.maxIndex ?? 0) ? numbered : undefined;
}

function scalar(parameter: Parameter, value: string | string[]): string | undefined {
  if (!Array.isArray(value)) return value;
  if (parameter.type === "array") return value.join("\0");
  return parameter.list ? value.join(",") : undefined;
}

/** In PVE's order: type, format, pattern, lengths, range, enumeration. */
function checkValue(parameter: Parameter, value: string, key: string): string | undefined {
  return (
    checkType(parameter, value) ??
    checkFormat(parameter, value, key) ??
    checkPattern(parameter, value) ??
    checkRange(parameter, value) ??
    checkEnum(parameter, value)
  );
}

function checkType({ type }: Parameter, value: string): string | undefined {
  if (value === hash) return `type check ('${type}') failed - got HASH`;
  const wrong =
    (type === "boolean" && !/^[01]$/.test(value)) ||
    (type === "integer" && !/^[+-]?\d+$/.test(value)) ||
    (type === "number" && !/^[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?$/.test(value));
  return wrong ? `type check ('${type}') failed - got '${value}'` : undefined;
}

function checkFormat(parameter: Parameter, value: string, key: string): string | undefined {
  if (parameter.properties) {
    const wrong = checkProperties(parameter.properties, value, key);
    if (wrong !== undefined) return `invalid format - ${wrong}`;
  }
  const wrong = parameter.format?.(value);
  return wrong === undefined ? undefined : `invalid format - ${wrong}`;
}

function checkPattern(
  { pattern, minLength, maxLength }: Parameter,
  value: string,
): string | undefined {
  if (pattern && !pattern.test(value)) return "value does not match the regex pattern";
  if (maxLength !== undefined && value.length > maxLength) {
    return `value may only be ${maxLength} characters long`;
  }
  if (minLength !== undefined && value.length < minLength) {
    return `value must be at least ${minLength} characters long`;
  }
  return undefined;
}

function checkRange({ type, minimum, maximum }: Parameter, value: string): string | undefined {
  if (type !== "integer" && type !== "number") return undefined;
  if (maximum !== undefined && Number(value) > maximum) {
    return `value must have a maximum value of ${maximum}`;
  }
  if (minimum !== undefined && Number(value) < minimum) {
    return `value must have a minimum value of ${minimum}`;
  }
  return undefined;
}

function checkEnum({ enum: values }: Parameter, value: string): string | undefined {
  if (!values || values.includes(value)) return undefined;
  return `value '${value}' does not have a value in the enumeration '${values.join(", ")}'`;
}

/** PVE::JSONSchema parse_property_string and the check of its parts. */
function checkProperties(properties: Properties, text: string, key: string): string | undefined {
  const parts: Record<string, string> = {};
  for (const piece of text.split(",")) {
    if (piece.trim() === "") continue;
    const wrong = readPiece(properties, piece, parts);
    if (wrong !== undefined) return `${wrong}\n`;
  }
  const faults: string[] = [];
  for (const [name, parameter] of Object.entries(properties.keys)) {
    const value = parts[name];
    if (value === undefined) {
      if (!parameter.optional)
        faults.push(`${key}.${name}: property is missing and it is not optional`);
      continue;
    }
    const wrong = checkValue(
      parameter,
      parameter.type === "boolean" ? perlBoolean(value) : value,
      name,
    );
    if (wrong !== undefined) faults.push(`${key}.${name}: ${wrong}`);
    const { requires } = parameter;
    if (requires !== undefined && parts[requires] === undefined) {
      faults.push(`${key}.${requires}: missing property - required by '${name}'`);
    }
  }
  return faults.length === 0 ? undefined : `format error\n${faults.join("\n")}\n`;
}

function readPiece(
  { keys, defaultKey, keyAlias }: Properties,
  piece: string,
  parts: Record<string, string>,
): string | undefined {
  const at = piece.indexOf("=");
  const name = at < 0 ? defaultKey : piece.slice(0, at);
  if (name === undefined) return "value without key, but schema does not define a default key";
  const value = at < 0 ? piece : piece.slice(at + 1);
  if (at >= 0 && keyAlias?.values.includes(name)) {
    parts[keyAlias.of] = name;
    parts[keyAlias.valueTo] = value;
    return undefined;
  }
  if (!Object.hasOwn(keys, name)) return `invalid key in comma-separated list property: ${name}`;
  if (parts[name] !== undefined) return `duplicate key in comma-separated list property: ${name}`;
  parts[name] = value;
  return undefined;
}

function perlBoolean(value: string): string {
  if (/^(?:1|on|yes|true)$/i.test(value)) return "1";
  return /^(?:0|off|no|false)$/i.test(value) ? "0" : value;
}
