import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../../src/errors.ts';
import { DIGEST_DIGITS } from '../../../src/integrity/expected.ts';
import { detectFormat, hintOf } from '../../../src/integrity/manifests/detect.ts';
import { FORMATS } from '../../../src/integrity/manifests/formats.ts';
import {
  isProblem,
  type ManifestFormat,
  type ManifestHint,
  type ManifestItem,
} from '../../../src/integrity/manifests/manifest.ts';
import { nameProblem } from '../../../src/integrity/manifests/names.ts';
import type { Algorithm } from '../../../src/protocol.ts';
import { SAMPLES } from './samples.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
console.info(`manifests seed ${seed}`);

const HEX = /^[0-9a-f]+$/;

/** Whatever comes in: items whose names and digests are some, or a TransferError. */
async function survives(format: ManifestFormat, bytes: Uint8Array, hint: ManifestHint): Promise<void> {
  let items: ManifestItem[];
  try {
    items = [...(await format.parse(bytes, hint))];
  } catch (error) {
    expect(error).toBeInstanceOf(TransferError);
    return;
  }
  for (const item of items) {
    expect(item.where).not.toBe('');
    if (isProblem(item)) {
      expect(item.problem).toMatch(/^[^\x00-\x1f]+$/);
      continue;
    }
    expect(nameProblem(item.name)).toBeUndefined();
    expect(item.digests.length).toBeGreaterThan(0);
    for (const { algorithm, value } of item.digests) {
      expect(value).toHaveLength(DIGEST_DIGITS[algorithm]);
      expect(value).toMatch(HEX);
    }
  }
}

/** A good list with bytes changed, left out and put in: what chance alone would never come near. */
const damaged = (sample: Uint8Array) =>
  fc
    .array(
      fc.record({
        at: fc.nat(Math.max(0, sample.length)),
        drop: fc.nat(8),
        insert: fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.constantFrom(...TROUBLE)),
      }),
      { minLength: 1, maxLength: 4 },
    )
    .map((edits) =>
      edits.reduce<Buffer>(
        (bytes, { at, drop, insert }) =>
          Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + drop)]),
        Buffer.from(sample),
      ),
    );

const TROUBLE = [
  '\0',
  '\n',
  '\r\n',
  '\\',
  '"',
  "'",
  '%',
  '*',
  '&',
  '<',
  '>',
  '{',
  '[',
  ': ',
  ' ',
  '#',
  '\ufeff',
  '..',
  '\\ud800',
].map((text) => new Uint8Array(Buffer.from(text)));

const hints = fc.record(
  { algorithm: fc.constantFrom(...(Object.keys(DIGEST_DIGITS) as Algorithm[])), subject: fc.string() },
  { requiredKeys: [] },
);

describe.each(FORMATS)('$name', (format) => {
  const samples = SAMPLES[format.name].map((text) => Buffer.from(text));

  test('B1 any bytes are read or refused', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.string({ unit: 'binary', maxLength: 200 }).map((text) => new Uint8Array(Buffer.from(text))),
    );
    const run = (any: Uint8Array, hint: ManifestHint) => survives(format, any, hint);
    await fc.assert(fc.asyncProperty(bytes, hints, run), { seed, numRuns: 300 });
  });

  test('B1 any damage to a good list is read or refused', async () => {
    for (const sample of samples) {
      const run = (any: Uint8Array, hint: ManifestHint) => survives(format, any, hint);
      await fc.assert(fc.asyncProperty(damaged(sample), hints, run), { seed, numRuns: 300 });
    }
  });

  test('P1 whatever is cut off a good list, no digest and no name gets shorter', async () => {
    for (const sample of samples) {
      const hint: ManifestHint = { algorithm: 'sha256' };
      const whole = new Set(
        [...(await format.parse(sample, hint))].filter((item) => !isProblem(item)).map(digests),
      );
      const afterFirst = sample.indexOf('\n') + 1;
      const run = async (length: number) => {
        const cut = sample.subarray(0, Math.max(afterFirst, length));
        let items: ManifestItem[] = [];
        try {
          items = [...(await format.parse(cut, hint))];
        } catch (error) {
          expect(error).toBeInstanceOf(TransferError);
        }
        for (const item of items) if (!isProblem(item)) expect(whole).toContain(digests(item));
      };
      await fc.assert(fc.asyncProperty(fc.nat(sample.length), run), { seed, numRuns: 200 });
    }
  });
});

function digests(item: ManifestItem): string {
  return isProblem(item) ? '' : JSON.stringify([item.name, item.digests]);
}

/** Any name of valid UTF-8 without NUL, and oftener than by chance what formats write in their own way. */
const names = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom(...' \t\n\r\\"\'%*#()=-:[]{}&<>~.,!|@`?/a\u0085\u2028\ufeff😀'),
      minLength: 1,
      maxLength: 12,
    }),
  )
  .filter((name) => nameProblem(name) === undefined && name !== '-');

const values = fc
  .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 64, maxLength: 64 })
  .map((digits) => digits.join(''));

describe.each(FORMATS.filter(({ write }) => write))('$name written', (format) => {
  test('comes back as it was, or the name is refused', async () => {
    const entries = fc.uniqueArray(fc.record({ name: names, value: values, size: fc.maxSafeNat() }), {
      selector: ({ name }) => name,
      minLength: 1,
      maxLength: 5,
    });
    const run = async (list: readonly { name: string; value: string; size: number }[]) => {
      const writer = format.write?.({ algorithm: 'sha256' });
      let text = writer?.begin() ?? '';
      const written: string[] = [];
      for (const { name, value, size } of list) {
        const entry = { name, size, digests: [{ algorithm: 'sha256', value } as const] };
        try {
          text += writer?.entry(entry);
          written.push(digests({ ...entry, where: '' }));
        } catch (error) {
          expect(error).toBeInstanceOf(TransferError);
        }
      }
      const bytes = Buffer.from(text + (writer?.end() ?? ''));
      const items = [...(await format.parse(bytes, { algorithm: 'sha256' }))];
      expect(items.filter(isProblem)).toEqual([]);
      expect(items.map(digests)).toEqual(written);
    };
    await fc.assert(fc.asyncProperty(entries, run), { seed, numRuns: 500 });
  });
});

test('B1 telling the format of any bytes under any name names one or throws a TransferError', () => {
  const fileNames = fc.oneof(
    fc.string(),
    fc.constantFrom('x.meta', 'SHA256SUMS', 'x.sha256', 'x.b2', 'manifest-x.txt'),
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    ...Object.values(SAMPLES)
      .flat()
      .map((sample) => damaged(Buffer.from(sample))),
  );
  const run = (fileName: string, any: Uint8Array) => {
    try {
      hintOf(fileName);
      expect(Object.keys(SAMPLES)).toContain(detectFormat(fileName, any));
    } catch (error) {
      expect(error).toBeInstanceOf(TransferError);
    }
  };
  fc.assert(fc.property(fileNames, bytes, run), { seed, numRuns: 1000 });
});
