import { toUSVString } from 'node:util';
import { safeText } from '../../safe-text.ts';
import type { FormatName } from './manifest.ts';

const LONGEST_IN_MESSAGE = 80;

/** What makes `name` the name of no file, completing `the name …`; undefined for a good one. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.includes('\0')) return `the name holds a NUL: ${quoted(name)}`;
  if (toUSVString(name) !== name) return `the name is no valid Unicode: ${quoted(name)}`;
  return undefined;
}

/**
 * True when `name`, as a path relative to a directory, names something below that directory, links aside: it is
 * relative, not empty, without `..`, without NUL, and not the directory itself.
 */
export function isBelowRoot(name: string): boolean {
  if (name.startsWith('/') || name.includes('\0')) return false;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length > 0 && !parts.includes('..');
}

const SELF_ROOTED: ReadonlySet<FormatName> = new Set(['bagit', 'json', 'ro-crate']);

/**
 * True for formats whose relative names are relative to the directory that the list lies in. Those of all others are
 * relative to the current directory, as `sha256sum -c` has it. Whoever reads and whoever writes keeps to it.
 */
export function isSelfRooted(format: FormatName): boolean {
  return SELF_ROOTED.has(format);
}

/** Text of a manifest for a message: in backticks, of bounded length, and printable. */
export function quoted(text: string): string {
  const short = text.length > LONGEST_IN_MESSAGE ? `${text.slice(0, LONGEST_IN_MESSAGE)}…` : text;
  return `\`${safeText(short)}\``;
}
