import { TransferError, toTransferError } from '../errors.ts';
import { pathOf } from '../location.ts';
import type { Endpoint, ServiceFact, Source, Stat } from '../protocol.ts';
import { formatSize } from '../report/format.ts';
import type { Place } from '../request.ts';
import type { Fact } from './doctor-machine.ts';
import type { Visit } from './places.ts';

/** What an endpoint can do, in a reader's words. */
const METHODS = {
  write: 'write',
  partial: 'go on with what broke off',
  list: 'list',
  leftovers: 'find leftovers',
  mkdir: 'make directories',
  remove: 'remove',
  move: 'move',
  copy: 'copy by itself',
  link: 'link',
  digest: 'tell digests',
} as const satisfies Partial<Record<keyof Endpoint, string>>;

/** What the service behind the place can do, as far as reading one byte of it tells. */
export async function placeFacts(
  place: Place,
  { endpoints, signal }: Visit,
  describeCredential: () => Promise<string>,
): Promise<readonly Fact[]> {
  const facts: Fact[] = [];
  const full = pathOf(place.location);
  let endpoint: Endpoint | undefined;
  try {
    facts.push({ label: 'credential', text: await describeCredential() });
    endpoint = await endpoints.open(place);
    facts.push({ label: 'can', text: ['read', ...abilitiesOf(endpoint)].join(', ') });
    const stat = await endpoint.stat(full, { signal });
    facts.push({ label: 'there', text: describeStat(stat) });
    if (stat.type === 'file') facts.push(...(await readFacts(endpoint, full, stat, signal)));
    else if (endpoint.list) facts.push(await listFact(endpoint, full, signal));
    facts.push(...(await serviceFacts(endpoint, full, signal)));
  } catch (error) {
    const known = failure('there', error);
    facts.push(known);
    // Where something is to be written nothing needs to be yet.
    const isAbsent = error instanceof TransferError && error.code === 'not-found';
    const told = isAbsent && endpoint ? await serviceFacts(endpoint, full, signal) : [];
    facts.push(...told.filter(({ isWrong }) => !isWrong));
  }
  return facts;
}

function abilitiesOf(endpoint: Endpoint): readonly string[] {
  return Object.entries(METHODS)
    .filter(([method]) => endpoint[method as keyof Endpoint])
    .filter(([method]) => method !== 'partial' || !endpoint.partialDepends)
    .map(([, words]) => words);
}

/** What the service says of itself. That it does not say it is no failure of transfers, but worth knowing. */
async function serviceFacts(endpoint: Endpoint, path: string, signal: AbortSignal): Promise<readonly Fact[]> {
  try {
    return ((await endpoint.describe?.(path, { signal })) ?? []).flatMap(factOf);
  } catch (error) {
    return [failure('service', error)];
  }
}

function factOf({ label, text, bytes }: ServiceFact): readonly Fact[] {
  if (text !== undefined) return [{ label, text }];
  return bytes === undefined ? [] : [{ label, text: formatSize(bytes) }];
}

/** What a version is made of, by how the protocols spell it; the first that fits. */
const VALIDATORS: readonly (readonly [RegExp, string])[] = [
  [/^etag /, 'by entity tag (ETag)'],
  [/^generation /, 'by generation'],
  [/^modified .* size /, 'by modification time and size'],
  [/^modified /, 'by modification time (Last-Modified)'],
  [/^\d+-\d+-\d+-\d+-\d+$/, 'by inode, size, modification and change time'],
  [/^\d+-\d+(?:-|$)/, 'by modification time and size'],
];

function describeVersion(version: string): string {
  const known = VALIDATORS.find(([shape]) => shape.test(version));
  return `told${known ? `, ${known[1]}` : ''}: what breaks off can go on`;
}

function failure(label: string, error: unknown): Fact {
  const { code, message, hint } = toTransferError(error, 'look');
  return { label, text: `${message} (${code})`, isWrong: true, hint };
}

function describeStat({ type, size, modified, digests }: Stat): string {
  const parts: string[] = [type];
  if (size !== undefined) parts.push(`${size} bytes`);
  if (modified) parts.push(`of ${modified.toISOString().slice(0, 19)}Z`);
  for (const { algorithm } of digests ?? []) parts.push(`with ${algorithm}`);
  return parts.join(', ');
}

/** Ranges are asked for by one byte of exactly this version: what a resume would do. */
async function readFacts(
  endpoint: Endpoint,
  path: string,
  stat: Stat,
  signal: AbortSignal,
): Promise<readonly Fact[]> {
  const version: Fact =
    stat.version === undefined
      ? { label: 'version', text: 'none that proves it is the same file: what breaks off starts over' }
      : { label: 'version', text: describeVersion(stat.version) };
  if (!stat.size) return [version];
  try {
    const start = stat.size - 1;
    const source = await endpoint.read(path, { signal, version: stat.version, range: { start } });
    const got = await countBytes(source);
    if (got !== 1) throw new TransferError('unexpected', `read the last byte: expected 1 byte, got ${got}`);
    const digests = [...new Set((source.digests ?? []).map(({ algorithm }) => algorithm))];
    const told = digests.length === 0 ? [] : [{ label: 'digests', text: digests.join(', ') }];
    return [version, { label: 'ranges', text: 'yes' }, ...told];
  } catch (error) {
    const known = toTransferError(error, 'read the last byte');
    if (known.code !== 'range-ignored') return [version, failure('ranges', known)];
    return [version, { label: 'ranges', text: 'no: what breaks off starts over' }];
  }
}

async function countBytes(source: Source): Promise<number> {
  let count = 0;
  for await (const chunk of source.bytes) count += chunk.length;
  return count;
}

/** The first name is enough to know that it may be listed. */
async function listFact(endpoint: Endpoint, path: string, signal: AbortSignal): Promise<Fact> {
  for await (const _ of endpoint.list?.(path, { signal }) ?? []) {
    return { label: 'listing', text: 'has entries' };
  }
  return { label: 'listing', text: 'empty' };
}
