import { describe, expect, test } from 'vitest';
import {
  canonicalJson,
  chainedLine,
  isTornLine,
  type Receipt,
  readReceipts,
} from '../../src/integrity/receipts.ts';
import { receiptOf } from '../../src/report/receipts-file.ts';
import { at, NOON, outcome } from '../report/script.ts';

const WHO = { bridle: '1.2.3', host: 'node-7', user: 'ana' };
const receipt = (name: string): Receipt =>
  receiptOf(
    outcome({ destination: at(`https://data.example/${name}`), digests: { sha256: 'ab'.repeat(32) } }),
    WHO,
    NOON,
  );

/** Lines of one chain, with their newlines. */
function chained(...names: string[]): string[] {
  let previous: string | undefined;
  return names.map((name) => {
    const { line, chain } = chainedLine(receipt(name), previous);
    previous = chain;
    return line;
  });
}

const read = (lines: readonly string[]) => [...readReceipts(Buffer.from(lines.join('')))];
const broken = (lines: readonly string[]) =>
  read(lines).flatMap(({ line, isBroken }) => (isBroken ? [line] : []));

describe('the chain of receipts', () => {
  test('is whole as it was written', () => {
    const found = read(chained('a', 'b', 'c'));
    expect(found.map(({ line, problem }) => [line, problem])).toEqual([
      [1, undefined],
      [2, undefined],
      [3, undefined],
    ]);
    expect(found[1]?.receipt).toEqual({
      destination: 'https://data.example/b',
      host: 'node-7',
      ended: '2026-11-22T09:55:38.234Z',
      size: 14,
      digests: [{ algorithm: 'sha256', value: 'ab'.repeat(32) }],
    });
    expect(read([])).toEqual([]);
  });

  const [a = '', b = '', c = '', d = ''] = chained('a', 'b', 'c', 'd');
  const cases: readonly [why: string, lines: readonly string[], at: readonly number[]][] = [
    ['the first line was removed', [b, c, d], [1]],
    ['a line was removed', [a, c, d], [2]],
    ['two lines were swapped', [a, c, b, d], [2, 3, 4]],
    ['a line was put in twice', [a, b, b, c, d], [3]],
    ['a line of another chain was put in', [a, chained('x', 'y')[1] ?? '', b, c], [2, 3]],
    ['a size was changed', [a, b.replace('"size":14', '"size":15'), c, d], [2]],
    ['a member was added twice', [a, b.replace('"size":14', '"size":15,"size":14'), c, d], [2]],
    ['white space was added', [a, b.replace('"size":14', '"size": 14'), c, d], [2]],
    ['a line end became CRLF', [a, b.replace('\n', '\r\n'), c, d], [2]],
    [
      'a line was changed with its own chain value',
      [a, chainedLine(receipt('x'), JSON.parse(a).chain).line, c, d],
      [3],
    ],
  ];
  test.each(cases)('breaks where %s', (_, lines, where) => {
    expect(broken(lines)).toEqual(where);
  });

  test('tells a last line that was cut, wherever that was', () => {
    for (let length = 1; length < b.length; length += 1) {
      const [, last, ...more] = read([a, b.slice(0, length)]);
      expect(more).toEqual([]);
      expect(last).toMatchObject({ line: 2, problem: expect.stringMatching(/cut short/) });
      expect(last?.receipt).toBeUndefined();
      expect(isTornLine(b.slice(0, length))).toBe(true);
    }
  });

  test('is not what is missing from its end: that leaves no trace', () => {
    expect(read([a, b]).every(({ problem }) => problem === undefined)).toBe(true);
  });

  test.each([
    ['an empty line', '\n'],
    ['text', 'hello\n'],
    ['null', 'null\n'],
    ['a list', '[]\n'],
    ['an object without a chain', '{"size":1}\n'],
    ['a chain that is none', '{"chain":"xyz"}\n'],
    ['lists within lists', `${'['.repeat(100_000)}${']'.repeat(100_000)}\n`],
  ])('B6 %s is no receipt, and the line behind it is not chained', (_, text) => {
    const found = read([a, text, b]);
    expect(found[1]).toEqual({ line: 2, isBroken: false, problem: 'it is no receipt' });
    expect(found[2]).toMatchObject({ line: 3, isBroken: true, receipt: { destination: expect.any(String) } });
  });

  test('B6 bytes that are no UTF-8 are no receipt', () => {
    const bytes = Buffer.concat([Buffer.from(a), Buffer.from([0xff, 0xfe, 0x0a])]);
    expect([...readReceipts(bytes)][1]).toMatchObject({ line: 2, problem: 'it is no receipt' });
  });

  test.each([
    ['destination', { destination: 7 }],
    ['size', { size: -1 }],
    ['size', { size: 1.5 }],
    ['digest', { digests: { sha256: 'ab' } }],
    ['digest', { digests: { rot13: 'ab' } }],
    ['digest', { digests: [] }],
    ['nesting', { lfn: JSON.parse(`${'['.repeat(3000)}${']'.repeat(3000)}`), size: -1 }],
  ])('B6 a %s that cannot be is a problem of its line', (_, wrong) => {
    const { line } = chainedLine({ ...receipt('a'), ...(wrong as object) }, undefined);
    const [only] = read([line]);
    expect(only?.problem).toEqual(expect.any(String));
    expect(only?.receipt).toBeUndefined();
  });
});

describe('a receipt', () => {
  test('P10 has no secret of a URL', () => {
    const source = at('https://ana:hunter2@data.example/a?token=hunter3&X-Amz-Signature=hunter4');
    const destination = at('https://:hunter5@data.example/b?sig=hunter6');
    const { line } = chainedLine(receiptOf(outcome({ source, destination }), WHO, NOON), undefined);
    expect(line).not.toMatch(/hunter|ana:/);
    expect(line).toMatch(/"source":"https:\/\/data\.example\/a"/);
  });

  test('has the versions that are known and no more', () => {
    const made = receiptOf(outcome({ versions: { source: '"e1"', destination: undefined } }), WHO, NOON);
    expect(made.versions).toEqual({ source: '"e1"' });
    expect(made).toMatchObject({ attempts: 1, started: '2026-11-22T09:55:38.234Z', size: 14, who: WHO });
    expect(made.file).toBeUndefined();
  });
});

test('canonical JSON has names in order, at every depth, and nothing that is undefined', () => {
  expect(canonicalJson({ b: [{ z: 1, y: null }], a: 'é"\n', é: true, c: undefined })).toBe(
    '{"a":"é\\"\\n","b":[{"y":null,"z":1}],"é":true}',
  );
});
