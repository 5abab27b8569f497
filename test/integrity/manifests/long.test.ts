import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { catalogYaml } from '../../../src/integrity/manifests/catalog-yaml.ts';
import { FORMATS } from '../../../src/integrity/manifests/formats.ts';
import { isProblem, type ManifestItem } from '../../../src/integrity/manifests/manifest.ts';
import { eachOnce, joinNeighbours, mergeItems } from '../../../src/integrity/manifests/merge.ts';
import { openManifest } from '../../../src/integrity/manifests/open.ts';
import { createNameSet } from '../../../src/integrity/name-set.ts';
import { SAMPLES } from './samples.ts';

const scratches: string[] = [];
afterEach(() => {
  for (const path of scratches.splice(0)) rmSync(path, { recursive: true, force: true });
});

const HEX = 'ab'.repeat(32);

describe('a list that comes in blocks', () => {
  test.each(FORMATS.filter(({ parseBlocks }) => parseBlocks).map((format) => [format.name, format] as const))(
    'says the same wherever %s is cut into blocks',
    async (name, format) => {
      const text = `\ufeff${SAMPLES[name]}\r\n\xff\0\n${'x'.repeat(70_000)}\n${SAMPLES[name]}`;
      const bytes = Buffer.from(text);
      const hint = { algorithm: 'sha256' } as const;
      const whole = [...(await format.parse(bytes, hint))];
      expect(whole.length).toBeGreaterThan(3);
      fc.assert(
        fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
          // The byte order mark and what tells UTF-16 are looked for in the first block.
          const ends = [...cuts.map((cut) => Math.max(10, cut)), bytes.length].sort((a, b) => a - b);
          const buffer = Buffer.alloc(bytes.length);
          function* blocks() {
            // A reader that still needs an earlier block would see this one.
            for (const [at, end] of ends.entries()) {
              const length = bytes.copy(buffer, 0, at === 0 ? 0 : ends[at - 1], end);
              if (length > 4) yield buffer.subarray(0, length);
              else if (length > 0) yield Buffer.from(buffer.subarray(0, length));
            }
          }
          expect([...(format.parseBlocks?.(blocks(), hint) ?? [])]).toEqual(whole);
        }),
        { numRuns: 40 },
      );
    },
  );

  test('L5 is refused when it is no longer what it was', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'bridle-long-'));
    scratches.push(directory);
    const path = join(directory, 'SHA256SUMS');
    writeFileSync(path, `${HEX}  a\n${`#${'-'.repeat(1000)}\n`.repeat(3000)}`);
    const seen = statSync(path, { bigint: true });
    const manifest = await openManifest({ path, seen }, { fileName: 'SHA256SUMS' });
    expect(manifest.isKept).toBe(false);
    expect([...manifest.items()]).toMatchObject([{ name: 'a', where: 'line 1' }]);
    expect([...manifest.items()]).toHaveLength(1);
    appendFileSync(path, `${HEX}  b\n`);
    expect(() => [...manifest.items()]).toThrow('changed while it was read');
  });
});

describe('names that stand more than once', () => {
  const items = fc.array(
    fc.oneof(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        digests: fc.constantFrom(
          [{ algorithm: 'sha256', value: HEX } as const],
          [{ algorithm: 'sha256', value: 'cd'.repeat(32) } as const],
          [{ algorithm: 'md5', value: 'ab'.repeat(16) } as const],
        ),
      }),
      fc.record({ problem: fc.constant('bad') }),
    ),
  );

  test('P3 come to the same in a list that is not kept as in one that is', () => {
    fc.assert(
      fc.property(items, (made) => {
        const list: ManifestItem[] = made.map((item, at) => ({ ...item, where: `line ${at}` }));
        const { entries, problems } = mergeItems(list);
        const once = [...eachOnce(() => list)];
        const byName = (all: readonly ManifestItem[]) =>
          [...all].sort((one, other) => JSON.stringify(one).localeCompare(JSON.stringify(other)));
        expect(byName(once)).toEqual(byName([...entries, ...problems]));
        expect(once.filter((item) => !isProblem(item))).toHaveLength(entries.length);
      }),
    );
  });

  test('P3 come to the same when neighbours are put together first', () => {
    fc.assert(
      fc.property(items, (made) => {
        const list: ManifestItem[] = made.map((item, at) => ({ ...item, where: `line ${at}` }));
        expect(mergeItems(joinNeighbours(list)).entries).toEqual(mergeItems(list).entries);
        const names = (all: Iterable<ManifestItem>) =>
          new Set(mergeItems(all).problems.map((one) => one.name));
        expect(names(joinNeighbours(list))).toEqual(names(list));
      }),
    );
  });

  test('P11 put together as neighbours are not kept, however often they stand there', () => {
    const digests = [{ algorithm: 'sha256', value: HEX } as const];
    function* many() {
      for (let at = 0; at < 50_000; at++)
        yield { name: 'a', digests, places: [`p${at}`], where: `line ${at}` };
      for (let at = 0; at < 50_000; at++) yield { name: 'b', digests, where: `line ${at}` };
    }
    const [a, b, ...more] = joinNeighbours(many());
    expect(a).toMatchObject({ name: 'a', digests, where: 'line 0' });
    expect(a && 'places' in a && a.places).toHaveLength(50_000);
    expect(b).toEqual({ name: 'b', digests, where: 'line 0' });
    expect(more).toEqual([]);
  });

  test('are told from all others', () => {
    const set = createNameSet();
    const names = Array.from({ length: 100_000 }, (_, at) => `directory/${at.toString(36)}`);
    expect(names.filter((name) => !set.add(name))).toEqual([]);
    expect(names.filter((name) => set.add(name))).toEqual([]);
    expect(names.filter((name) => !set.has(name) || set.has(`${name}/`))).toEqual([]);
  });
});

describe('a replica catalog as Pegasus writes it', () => {
  const text = fc.oneof(
    fc.constantFrom(
      'a',
      'f.a',
      'x y',
      "it's",
      'a#b',
      'a: b',
      'null',
      '0x1',
      '-',
      '~',
      'ü',
      '\u2028',
      '"',
      '\\',
      '\n',
      '{a}',
    ),
    fc.string({ unit: 'binary' }),
    fc.string(),
  );
  const bare = fc.stringMatching(/^[A-Za-z0-9/_.:~=-]{1,12}$/);
  const scalar = fc.oneof(
    text.map((each) => JSON.stringify(each)),
    text.map((each) => `'${each.replaceAll("'", "''").replaceAll('\n', ' ')}'`),
    bare,
    bare,
  );
  const sum = fc.constantFrom(HEX, `"${HEX}"`, 'abc', '"', '1234');
  const replica = fc.record({
    lfn: scalar,
    pfn: scalar,
    sum,
    size: fc.constantFrom(undefined, '12', '"12"', 'x'),
  });

  test('B1 says what a parser of all of YAML makes of it, line by line', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(replica, { minLength: 1, maxLength: 4 }),
        fc.constantFrom('', '  '),
        async (all, deeper) => {
          const written = (comment: string) =>
            `pegasus: "5.0"\nreplicas:${comment}\n${all
              .map(
                ({ lfn, pfn, sum: value, size }) =>
                  `${deeper}- lfn: ${lfn}\n${deeper}  pfns:${comment}\n${deeper}  - site: local\n${deeper}    pfn: ${pfn}\n` +
                  `${deeper}  checksum:\n${deeper}    sha256: ${value}\n${size ? `${deeper}  metadata:\n${deeper}    size: ${size}\n` : ''}`,
              )
              .join('')}`;
          const read = async (yaml: string) => {
            try {
              return [...(await catalogYaml.parse(Buffer.from(yaml), {}))];
            } catch {
              return 'refused';
            }
          };
          // A comment is in no replica of the plain form.
          expect(await read(written(''))).toEqual(await read(written(' # x')));
        },
      ),
      { numRuns: 300 },
    );
  });
});
