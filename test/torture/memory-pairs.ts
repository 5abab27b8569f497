import { parseArgs } from 'node:util';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import type { StoragePlace } from '../places/place.ts';
import { PLACES, type PlaceName } from '../places/places.ts';
import { buildProduct, describeCheckout, describeMachine } from './checkout.ts';
import { mebibytes } from './ledger.ts';
import { copyMeasured, MOST_MEMORY } from './memory.ts';

const MIB = 1024 * 1024;

/** Each protocol on both sides, as far as it has large files. */
export const LARGE_PAIRS: readonly string[] = [
  's3-dav',
  'sftp-s3',
  'http-gs',
  'ftp-sftp',
  'dav-s3',
  's3-file',
];

export interface MemoryFindings {
  /** Markdown. */
  readonly lines: readonly string[];
  readonly violations: readonly string[];
}

/** Copies a file of `size` bytes over each pair, one after the other, and judges the peak memory of each copy. */
export async function findByMemory(pairs: readonly string[], size: number): Promise<MemoryFindings> {
  const lines = [
    `| pair | size | peak, at most ${mebibytes(MOST_MEMORY)} | violations |`,
    '|---|---|---|---|',
  ];
  const violations: string[] = [];
  for (const pair of pairs) {
    const [from, to] = pair.split('-') as [PlaceName, PlaceName];
    process.stderr.write(`memory: ${pair}\n`);
    const started: StoragePlace[] = [];
    try {
      for (const name of new Set([from, to])) started.push(await PLACES[name]());
      const [source, destination = source] = started;
      if (!source || !destination) continue;
      const found = await copyMeasured(source, destination, makeContent(size, 1));
      violations.push(...found.violations.map((text) => `memory ${pair}: ${text}`));
      lines.push(
        `| ${from} → ${to} | ${mebibytes(size)} | ${mebibytes(found.peak)} | ${found.violations.length} |`,
      );
    } finally {
      for (const place of started) await place.stop();
    }
  }
  return { lines, violations };
}

/** The large files alone. The exit status tells whether everything held. */
export async function memoryMain(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '2048' },
      pairs: { type: 'string', default: LARGE_PAIRS.join(',') },
    },
  });
  buildProduct();
  process.stdout.write(`${describeCheckout()}; ${describeMachine()}\n`);
  const { lines, violations } = await findByMemory(values.pairs.split(','), Number(values.size) * MIB);
  process.stdout.write(`${lines.join('\n')}\n${violations.map((text) => `violation: ${text}\n`).join('')}`);
  return violations.length === 0 ? 0 : 1;
}
