import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createMetaCatalog } from '../../src/integrity/meta.ts';
import { scratch } from './run-command.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const described = (lfn: string, attributes: object) => ({ _type: 'file', _id: lfn, _attributes: attributes });
const sum = (value: string) => ({ 'checksum.type': 'sha256', 'checksum.value': value });

/** A catalog of the files, and what it warned of. */
function catalog(files: Readonly<Record<string, unknown>>) {
  const directory = scratch();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  const warnings: string[] = [];
  return { directory, warnings, find: createMetaCatalog(directory, (message) => warnings.push(message)) };
}

test('every *.meta file of the directory counts, and no other', async () => {
  const { find, warnings } = catalog({
    'x.meta': [described('a', sum(A))],
    'y.meta': [described('b', sum(B.toUpperCase()))],
    'z.json': [described('c', sum(A))],
  });
  expect(await find('a')).toEqual({ algorithm: 'sha256', value: A });
  expect(await find('b')).toEqual({ algorithm: 'sha256', value: B });
  expect(await find('c')).toBeUndefined();
  expect(warnings).toEqual([]);
});

test('of several entries for a name the last counts', async () => {
  const { find } = catalog({ '1.meta': [described('a', sum(A))], '2.meta': [described('a', sum(B))] });
  expect((await find('a'))?.value).toBe(B);
});

test('files of two bytes and less are passed over without a word', async () => {
  const { find, warnings } = catalog({ 'x.meta': '', 'y.meta': '[]', 'z.meta': [described('a', sum(A))] });
  expect((await find('a'))?.value).toBe(A);
  expect(warnings).toEqual([]);
});

test('B1 what cannot be read is told, and the rest counts', async () => {
  const { directory, find, warnings } = catalog({
    '1.meta': '{{{',
    '2.meta': { a: 1 },
    '3.meta': [
      { _attributes: sum(A) },
      7,
      described('b', sum('xyz')),
      described('c', {}),
      described('a', sum(A)),
    ],
  });
  mkdirSync(join(directory, '4.meta'));
  expect((await find('a'))?.value).toBe(A);
  expect(await find('b')).toBeUndefined();
  expect(await find('c')).toBeUndefined();
  expect(warnings).toHaveLength(6);
  expect(warnings[0]).toContain('Error parsing the meta data: `1.meta`');
});

test('the files are read once, when first asked for', async () => {
  const { directory, find } = catalog({});
  writeFileSync(join(directory, 'x.meta'), JSON.stringify([described('a', sum(A))]));
  expect((await find('a'))?.value).toBe(A);
  writeFileSync(join(directory, 'y.meta'), JSON.stringify([described('b', sum(A))]));
  expect(await find('b')).toBeUndefined();
});
