import { TransferError } from '../../errors.ts';
import type { ByteText } from '../../job/byte-text.ts';
import type { Layer } from '../image.ts';
import { BLOCK, type Entry, type Member } from '../tar/member.ts';
import { readTar } from '../tar/read.ts';
import { bodyPadding, END_OF_ARCHIVE, memberHeader, storedBytes } from '../tar/write.ts';
import { type Facts, type Merged, type MergeLimits, merged } from './merged.ts';
import { type Directory, isDirectory, shown } from './tree.ts';
import { type InflationLimits, mostInflated, uncompressed } from './uncompressed.ts';

export interface FlattenOptions {
  readonly limits?: InflationLimits & MergeLimits;
  /** Laid over the layers as if they were one more, with their bodies. */
  readonly additions?: readonly Addition[];
  /** Which extended attributes stay; all without. */
  readonly keepsAttribute?: (name: ByteText) => boolean;
}

export interface Addition {
  readonly member: Member;
  readonly data?: Uint8Array;
  /** Left out where the layers have something of that name. */
  readonly isFallback?: boolean;
}

/** A leaf of the merged tree with all its names, in the order of the walk. */
export interface Wanted {
  readonly facts: Facts;
  readonly names: ByteText[];
}

/**
 * One tar archive of what `layers`, lowest first, make together: whiteouts are gone, each name is there once, each
 * directory before what lies in it. The same layers give the same bytes. Directories come first, then what has no body,
 * as a walk by the bytes of names meets them; then bodies in the order of the layers, each under the first of its names,
 * with hard links behind it. Each layer is read once for its headers, and those with files that remain once more; memory
 * grows with the number of names. Rejects as `uncompressed` and `readTar` do, and with `invalid-request` for names that
 * lead out, links to nothing, and more names than `limits` allow.
 */
export async function* flatten(
  layers: readonly Layer[],
  signal: AbortSignal,
  options: FlattenOptions = {},
): AsyncGenerator<Uint8Array> {
  const all = merged(options);
  await addLayers(all, layers, signal, options);
  addMembers(all, options.additions ?? []);
  const files: Wanted[] = [];
  const others: Wanted[] = [];
  for (const { path, directory } of sorted(all.root, files, others)) {
    if (path !== '') yield header(path, directory.facts);
    else if (directory.facts) yield header('.', directory.facts);
  }
  yield* bodiless(others);
  yield* bodiesOf(layers, files, signal, options);
  yield END_OF_ARCHIVE;
}

/** What has no body in a layer, under all its names. */
export async function* bodiless(others: readonly Wanted[]): AsyncGenerator<Uint8Array> {
  for (const { facts, names } of others) {
    if (facts.type === 'file') yield* whole(names, facts, undefined);
    // To be one file or several that say the same is the same for what has no content.
    else for (const name of names) yield memberHeader({ ...facts, name });
  }
}

/** Two at a time: while one inflates beside this thread, the other's digest is taken in it. */
const AT_A_TIME = 2;

async function addLayers(
  all: Merged,
  layers: readonly Layer[],
  signal: AbortSignal,
  { limits = {} }: FlattenOptions,
): Promise<void> {
  const adding = layers.map(() => all.layer());
  const read = new Set<number>();
  let begun = 0;
  let ended = 0;
  let hasFailed = false;

  async function readNext(): Promise<void> {
    for (let at = begun++; at < layers.length && !hasFailed; at = begun++) {
      const layer = layers[at];
      if (layer) await readHeaders(layer, at);
      read.add(at);
      // The lowest first, whichever is read first.
      while (read.delete(ended)) adding[ended++]?.end();
    }
  }

  async function readHeaders(layer: Layer, at: number): Promise<void> {
    let ordinal = 0;
    const addHoles = holesOf(layer, limits);
    for await (const entry of readTar(await uncompressed(layer, signal, limits), { isProven: true })) {
      if (hasFailed) return;
      addHoles(entry);
      const { body: _, stored: _stored, ...member } = entry;
      adding[at]?.add(member, ordinal);
      ordinal += 1;
    }
  }

  const working = Array.from({ length: AT_A_TIME }, () =>
    readNext().catch((error: unknown) => {
      hasFailed = true;
      throw error;
    }),
  );
  for (const result of await Promise.allSettled(working))
    if (result.status === 'rejected') throw result.reason;
}

/** Throws `invalid-request` once a layer has more holes than it may inflate: those to fill by its size, others at all. */
export function holesOf(layer: Layer, limits: InflationLimits): (entry: Entry) => void {
  const bounds = {
    kept: mostInflated(Number.POSITIVE_INFINITY, limits),
    filled: mostInflated(layer.descriptor.size, limits),
  };
  const found = { kept: 0, filled: 0 };
  return (entry) => {
    if (!entry.extents) return;
    const how = sparse(entry) ? 'kept' : 'filled';
    found[how] += entry.size - storedBytes(entry.extents);
    if (found[how] <= bounds[how]) return;
    throw new TransferError(
      'invalid-request',
      `unpacking layer ${layer.descriptor.digest}: its sparse files have more than ${bounds[how]} bytes of holes`,
    );
  };
}

export function addMembers(all: Merged, additions: readonly Addition[]): void {
  const adding = all.layer();
  for (const [ordinal, { member, data = new Uint8Array(0), isFallback = false }] of additions.entries()) {
    adding.add({ ...member, size: data.length }, ordinal, { data, isFallback });
  }
  adding.end();
}

/** Directories in the order of their paths; leaves are put into `files` or, where no layer has a body of theirs, `others`. */
export function* sorted(
  root: Directory<Facts>,
  files: Wanted[],
  others: Wanted[],
): Generator<{ readonly path: ByteText; readonly directory: Directory<Facts> }> {
  const seen = new Map<Facts, Wanted>();
  const ahead: { path: ByteText; directory: Directory<Facts> }[] = [{ path: '', directory: root }];
  for (let next = ahead.pop(); next; next = ahead.pop()) {
    yield next;
    const { path, directory } = next;
    const names = [...directory.children.keys()].sort();
    const below: typeof ahead = [];
    for (const name of names) {
      const node = directory.children.get(name);
      const full = path === '' ? name : `${path}/${name}`;
      if (isDirectory(node)) below.push({ path: full, directory: node });
      else if (node) {
        const known = seen.get(node.facts);
        if (known) {
          known.names.push(full);
          continue;
        }
        const wanted = { facts: node.facts, names: [full] };
        seen.set(node.facts, wanted);
        const hasBody = node.facts.type === 'file' && node.facts.size > 0 && !node.facts.data;
        (hasBody ? files : others).push(wanted);
      }
    }
    ahead.push(...below.reverse());
  }
}

export const header = (name: ByteText, facts: Facts | undefined): Uint8Array =>
  memberHeader(facts ? { ...facts, name } : { name, type: 'directory' });

/** Files, in the order of the layers that have their bodies. */
export async function* bodiesOf(
  layers: readonly Layer[],
  files: readonly Wanted[],
  signal: AbortSignal,
  options: FlattenOptions,
): AsyncGenerator<Uint8Array> {
  for (const [at, layer] of layers.entries()) {
    const wanted = new Map(
      files.filter(({ facts }) => facts.layer === at).map((one) => [one.facts.ordinal, one]),
    );
    if (wanted.size > 0) yield* bodies(layer, wanted, signal, options);
  }
}

async function* bodies(
  layer: Layer,
  wanted: ReadonlyMap<number, Wanted>,
  signal: AbortSignal,
  options: FlattenOptions,
): AsyncGenerator<Uint8Array> {
  let ordinal = 0;
  for await (const entry of readTar(await uncompressed(layer, signal, { ...options.limits, isKnown: true }), {
    isProven: true,
  })) {
    const found = wanted.get(ordinal);
    ordinal += 1;
    if (!found) continue;
    if (entry.type !== 'file' || entry.size !== found.facts.size) {
      throw new TransferError(
        'changed',
        `flattening layers: \`${shown(entry.name)}\` is another file than before`,
      );
    }
    yield* whole(found.names, found.facts, entry);
  }
}

/** A file under its first name, and hard links to it under the others. */
export async function* whole(
  [name = '', ...others]: readonly ByteText[],
  facts: Facts,
  entry: Entry | undefined,
): AsyncGenerator<Uint8Array> {
  const { data, ...member } = facts;
  const extents = entry && sparse(entry);
  yield memberHeader(extents ? { ...member, name, extents } : { ...member, name });
  if (entry) yield* extents ? entry.stored : entry.body;
  else if (data) yield data;
  yield bodyPadding(extents ? storedBytes(extents) : facts.size);
  yield* links(name, others, facts);
}

/** More names of the file that is there as `name`. */
export function* links(name: ByteText, others: readonly ByteText[], facts: Facts): Generator<Uint8Array> {
  const { data: _, ...member } = facts;
  for (const other of others) yield memberHeader({ ...member, name: other, type: 'hardlink', link: name });
}

/** Where holes may stay holes: readers differ over extents that do not end with a block. */
function sparse({ extents }: Entry): Member['extents'] {
  return extents?.slice(0, -1).every(({ length }) => length % BLOCK === 0) ? extents : undefined;
}
