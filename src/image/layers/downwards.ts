import type { ByteText } from '../../job/byte-text.ts';
import type { Layer } from '../image.ts';
import { readTar } from '../tar/read.ts';
import { END_OF_ARCHIVE } from '../tar/write.ts';
import {
  addMembers,
  bodiesOf,
  bodiless,
  type FlattenOptions,
  header,
  holesOf,
  links,
  sorted,
  type Wanted,
  whole,
} from './flatten.ts';
import { foresight } from './foresight.ts';
import { type Facts, merged } from './merged.ts';
import { uncompressed } from './uncompressed.ts';

/**
 * What {@link flatten} gives, in an order that reads most layers once: the highest first, each file as soon as it is met
 * where the layers above show what becomes of it, then directories, what has no body, further names, and from a second
 * reading the files that were in doubt. Parents come behind what lies in them, which not every reader takes. The same
 * layers give the same bytes. When the end shows that a file was given that should not have been there, or not so,
 * `onMisjudged` is called and the archive ends before its end: it is of no use then, and `flatten` is what is left.
 */
export async function* flattenDownwards(
  layers: readonly Layer[],
  signal: AbortSignal,
  options: FlattenOptions & { readonly onMisjudged: () => void },
): AsyncGenerator<Uint8Array> {
  const { limits = {} } = options;
  const all = merged(options);
  const adding = layers.map((layer) => ({ layer, to: all.layer() }));
  const given = new Map<Facts, ByteText>();
  const foreseen = foresight();
  for (const { layer, to } of adding.toReversed()) {
    let ordinal = 0;
    const addHoles = holesOf(layer, limits);
    for await (const entry of readTar(await uncompressed(layer, signal, limits), { isProven: true })) {
      addHoles(entry);
      const { body: _, stored: _stored, ...member } = entry;
      const facts = to.add(member, ordinal);
      ordinal += 1;
      const path = foreseen.next(member);
      if (!facts || path === undefined) continue;
      given.set(facts, path);
      yield* whole([path], facts, entry);
    }
    foreseen.end();
  }
  for (const { to } of adding) to.end();
  addMembers(all, options.additions ?? []);

  const files: Wanted[] = [];
  const others: Wanted[] = [];
  const directories = [...sorted(all.root, files, others)];
  const isGiven = ({ facts, names }: Wanted) => names.includes(given.get(facts) ?? '');
  const there = files.filter(isGiven);
  if (there.length !== given.size) return options.onMisjudged();
  for (const { path, directory } of directories) {
    if (path !== '') yield header(path, directory.facts);
    else if (directory.facts) yield header('.', directory.facts);
  }
  yield* bodiless(others);
  for (const { facts, names } of there) {
    const name = given.get(facts) ?? '';
    yield* links(
      name,
      names.filter((other) => other !== name),
      facts,
    );
  }
  yield* bodiesOf(
    layers,
    files.filter((one) => !given.has(one.facts)),
    signal,
    options,
  );
  yield END_OF_ARCHIVE;
}
