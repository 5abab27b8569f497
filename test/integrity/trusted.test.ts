import { chmodSync, linkSync, mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { identityOf } from '../../src/integrity/digest-file.ts';
import { chainedLine, type Receipt } from '../../src/integrity/receipts.ts';
import { openTrusted } from '../../src/integrity/trusted.ts';
import { scratch } from '../commands/run-command.ts';

const DIGEST = 'ab'.repeat(32);
const LOCAL = { isSlow: () => false };
const later = (ns: string, ms: number) => new Date(Number(BigInt(ns) / 1_000_000n) + ms).toISOString();

let cwd = '';
const file = () => join(cwd, 'data');
const path = () => join(cwd, 'done.jsonl');

beforeEach(() => {
  cwd = scratch();
  writeFileSync(file(), 'data');
});

/** What a run that ended a while after the file's last change wrote of it. */
function receipt(
  change: { readonly seenAfter?: number; readonly file?: object } & Omit<Partial<Receipt>, 'file'> = {},
): Receipt {
  const { seenAfter = 1000, file: facts, ...rest } = change;
  const identity = { ...identityOf(statSync(file(), { bigint: true })), ...facts };
  return {
    attempts: 1,
    destination: `file://${file()}`,
    digests: { sha256: DIGEST },
    ended: '2026-11-28T10:00:00.000Z',
    file: { ...identity, seen: later(identity.statusChanged, seenAfter) },
    size: 4,
    source: 'https://data.example/data',
    started: '2026-11-28T10:00:00.000Z',
    verification: { source: { grade: 'size' }, destination: { grade: 'server' } },
    who: { bridle: '1', host: hostname(), user: 'ana' },
    ...rest,
  };
}

function write(...receipts: readonly Receipt[]): string[] {
  let previous: string | undefined;
  const lines = receipts.map((one) => {
    const { line, chain } = chainedLine(one, previous);
    previous = chain;
    return line;
  });
  writeFileSync(path(), lines.join(''));
  return lines;
}

const find = (options: Parameters<typeof openTrusted>[1] = LOCAL) =>
  openTrusted([path()], options).find(file(), ['sha256']);

describe('what a receipt says of a file', () => {
  test('is found, with the receipt that says so, while nothing about the file changed', () => {
    write(receipt({ destination: 'file:///other' }), receipt());
    expect(find()).toEqual({
      digests: [{ algorithm: 'sha256', value: DIGEST }],
      size: 4,
      from: `receipt \`${path()}\` line 2 of 2026-11-28T10:00:00.000Z`,
    });
  });

  test('is used in the very millisecond of the last change, too: clocks tell no more than that', () => {
    write(receipt());
    const changed = Math.floor(Number(statSync(file(), { bigint: true }).ctimeNs / 1_000_000n));
    expect(find({ ...LOCAL, now: () => changed })).toBeDefined();
    expect(find({ ...LOCAL, now: () => changed - 1 })).toBeUndefined();
  });

  test.each<[string, () => void]>([
    ['was written to', () => writeFileSync(file(), 'atad')],
    [
      'was written to and got its old time back',
      () => {
        const { atime, mtime } = statSync(file());
        writeFileSync(file(), 'atad');
        utimesSync(file(), atime, mtime);
      },
    ],
    [
      'was replaced',
      () => {
        writeFileSync(`${file()}2`, 'data');
        renameSync(`${file()}2`, file());
      },
    ],
    ['has another link', () => linkSync(file(), `${file()}2`)],
    [
      'became a directory',
      () => {
        renameSync(file(), `${file()}2`);
        mkdirSync(file());
      },
    ],
    ['is gone', () => renameSync(file(), `${file()}2`)],
  ])('is not used when the file %s', (_, change) => {
    write(receipt());
    expect(find()).toBeDefined();
    change();
    expect(find()).toBeUndefined();
  });

  test.each(['device', 'inode', 'modified', 'statusChanged'])('is not used when the %s differs', (name) => {
    write(receipt({ file: { [name]: '7' } }));
    expect(find()).toBeUndefined();
  });

  test('is not used when the file was last seen in the tick of its last change', () => {
    write(receipt({ seenAfter: 5 }));
    expect(find()).toBeUndefined();
    write(receipt({ seenAfter: -1000 }));
    expect(find()).toBeUndefined();
    const { seen: _, ...unseen } = receipt().file as { seen?: string } & NonNullable<Receipt['file']>;
    write({ ...receipt(), file: unseen });
    expect(find()).toBeUndefined();
  });

  test('is not used for two seconds where the file system counts whole ones', () => {
    // Told apart by who is asked next: only a settled receipt is worth the question.
    const asked: string[] = [];
    for (const after of [1900, 2100]) {
      write(receipt({ seenAfter: after, file: { statusChanged: '1795341338000000000', modified: '0' } }));
      const isSlow = () => asked.push(String(after)) > 0;
      expect(openTrusted([path()], { isSlow }).find(file(), ['sha256'])).toBeUndefined();
    }
    expect(asked).toEqual(['2100']);
  });

  test('L12 is not used when the clock is behind the time of the file', () => {
    write(receipt());
    expect(find({ ...LOCAL, now: () => statSync(file()).ctimeMs - 5000 })).toBeUndefined();
  });

  test('is not used on a network file system, nor when another machine wrote it', () => {
    write(receipt());
    expect(find({ isSlow: () => true })).toBeUndefined();
    write(receipt({ who: { bridle: '1', host: 'other.example', user: 'ana' } }));
    expect(find()).toBeUndefined();
  });

  test('is not used for an algorithm that it lacks, nor when a later one cannot be relied on', () => {
    write(receipt());
    expect(openTrusted([path()], LOCAL).find(file(), ['sha256', 'md5'])).toBeUndefined();
    write(receipt(), receipt({ seenAfter: 0 }));
    expect(find()).toBeUndefined();
  });

  test('is no proof by itself: one that reused another says only what that one said', () => {
    const reused = { grade: 'size', by: 'receipt `x` line 1 of then' } as const;
    write(receipt(), receipt({ verification: { source: { grade: 'size' }, destination: reused } }));
    expect(find()?.from).toContain('line 1 of');
  });
});

describe('a receipts file', () => {
  test('whose chain is broken is not trusted at all', () => {
    const [first = '', second = ''] = write(receipt({ destination: 'file:///other' }), receipt());
    writeFileSync(path(), first.replace('/other', '/mine!') + second);
    expect(() => find()).toThrow(/line 1: the chain breaks/);
    writeFileSync(path(), second);
    expect(() => find()).toThrow(/line 1: the chain breaks/);
    writeFileSync(path(), `${first}rubbish\n`);
    expect(() => find()).toThrow(/line 2: it is no receipt/);
  });

  test('that a killed run left with half a line is trusted as far as it goes', () => {
    const [first = '', second = ''] = write(receipt(), receipt());
    writeFileSync(path(), first + second.slice(0, 40));
    expect(find()?.from).toContain('line 1');
  });

  test('that everybody may write to is refused', () => {
    write(receipt());
    chmodSync(path(), 0o666);
    expect(() => find()).toThrow(/everybody may write to it/);
  });
});
