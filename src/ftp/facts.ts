import type { Stat } from '../protocol.ts';

/** One line of MLST or MLSD (RFC 3659 §7.2). The name is bytes, one character each. */
export interface Facts {
  /** Lower-case names. */
  readonly facts: ReadonlyMap<string, string>;
  readonly name: string;
}

/** `fact=value;fact=value; name`; undefined for anything else. Names may hold what they like, spaces at the front too. */
export function parseFacts(line: string): Facts | undefined {
  const shape = /^((?:[^=;\s]+=[^;]*;)*) (.+)$/s.exec(line);
  if (!shape) return undefined;
  const [, packed = '', name = ''] = shape;
  const facts = packed
    .split(';')
    .filter((fact) => fact !== '')
    .map((fact) => {
      const at = fact.indexOf('=');
      return [fact.slice(0, at).toLowerCase(), fact.slice(at + 1)] as const;
    });
  return { facts: new Map(facts), name };
}

/** What the facts say; undefined for the directory itself and the one above, which listings may have. */
export function statOfFacts({ facts, name }: Facts): Stat | undefined {
  const type = facts.get('type')?.toLowerCase() ?? '';
  if (type === 'cdir' || type === 'pdir' || name === '.' || name === '..') return undefined;
  return {
    type: typeOf(type),
    size: sizeOf(facts),
    modified: timeOf(facts.get('modify')),
    mode: modeOf(facts),
  };
}

function typeOf(type: string): Stat['type'] {
  if (type === 'file') return 'file';
  if (type === 'dir') return 'directory';
  // RFC 3659 leaves links to the systems: both spellings are in use.
  return /^os\.unix=(slink|symlink)/.test(type) ? 'symlink' : 'other';
}

function sizeOf(facts: Facts['facts']): number | undefined {
  return numberOf(facts.get('size'));
}

function modeOf(facts: Facts['facts']): number | undefined {
  const text = facts.get('unix.mode');
  return text !== undefined && /^[0-7]{3,7}$/.test(text) ? Number.parseInt(text, 8) & 0o7777 : undefined;
}

/** A whole number of bytes, as SIZE answers it. */
export function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** `YYYYMMDDHHMMSS[.sss]` in UTC (RFC 3659 §2.3). */
export function timeOf(text: string | undefined): Date | undefined {
  const shape = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?$/.exec(text ?? '');
  if (!shape) return undefined;
  const [year, month, day, hour, minute, second] = shape.slice(1, 7).map(Number) as number[];
  const millisecond = Math.floor(Number(`0.${shape[7] ?? 0}`) * 1000);
  return new Date(Date.UTC(year!, month! - 1, day, hour, minute, second, millisecond));
}

/** The time in the form of MDTM and MFMT, whole seconds. */
export function formatTime(time: Date): string {
  return time.toISOString().slice(0, 19).replace(/\D/g, '');
}
