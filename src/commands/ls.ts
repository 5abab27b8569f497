import { TransferError } from '../errors.ts';
import type { Entry, Stat } from '../protocol.ts';
import { safeText } from '../report/format.ts';
import { lastName } from './arguments.ts';
import type { Io } from './io.ts';
import { LS_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { forEachPlace, parsePlaces } from './places.ts';
import { statJson } from './stat-json.ts';

/** Text collected before it is written: a call for each of a million names would cost more than the names. */
const BATCH = 64 * 1024;

/** `bridle ls PLACE...`: names alone, so that programs can read them; escaped on a terminal. */
export async function ls(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, LS_OPTIONS, { env: io.env });
  const show = io.outIsTerminal() ? safeText : (name: string) => name;
  const places = parsePlaces(positionals.length === 0 ? ['.'] : positionals);
  return forEachPlace('ls', places, values, io, async (place, { endpoints, signal }) => {
    const endpoint = await endpoints.open(place);
    const { path, scheme } = place.location;
    const stat = path.endsWith('/') ? undefined : await endpoint.stat(path, { signal });
    if (stat && stat.type !== 'directory') {
      io.out(line({ name: lastName(place.location), stat }, values, show));
      return true;
    }
    if (!endpoint.list) throw new TransferError('unsupported', `\`${scheme}\`: this protocol cannot list`);
    let pending = '';
    let isWhole = true;
    for await (const entry of endpoint.list(path, { recursive: values.recursive, signal })) {
      if (entry.problem !== undefined) {
        io.err(`warning: ${safeText(entry.problem)}\n`);
        isWhole = false;
      }
      pending += line(entry, values, show);
      if (pending.length < BATCH) continue;
      io.out(pending);
      pending = '';
    }
    io.out(pending);
    return isWhole;
  });
}

function line(
  { name, stat }: Entry,
  how: { readonly long: boolean; readonly json: boolean },
  show: (name: string) => string,
): string {
  if (how.json) return `${JSON.stringify({ name, ...statJson(stat) })}\n`;
  if (!how.long) return `${show(name)}\n`;
  const size = String(stat.size ?? '-').padStart(15);
  return `${LETTERS[stat.type]} ${size} ${time(stat)} ${show(name)}\n`;
}

const LETTERS: Readonly<Record<Stat['type'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  other: '?',
};

function time({ modified }: Stat): string {
  return modified ? modified.toISOString().slice(0, 19).concat('Z') : '-'.padEnd(20);
}
