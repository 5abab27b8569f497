import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bridle, scratch } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/integrity.md', import.meta.url));
const BEGIN = '<!-- grades: begin -->\n';
const END = '<!-- grades: end -->';

/** What stands behind each scheme in the tests. */
const SERVERS: Readonly<Record<string, string>> = {
  file: 'the local disk',
  http: 'nginx',
  https: 'nginx with TLS',
  ftp: 'ProFTPD',
  ftps: 'ProFTPD with TLS',
  dav: 'Apache',
  sftp: 'OpenSSH',
  s3: 'Ceph 16',
  gs: 'an emulator of Cloud Storage',
};

const CONTENT = Buffer.from('what is proven of these bytes, and by whom\n');
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');

/** What a user asks for, in the order of the columns. */
const ASKED: readonly (readonly string[])[] = [
  [],
  ['--checksum', 'sha256'],
  ['--checksum', 'sha256', '--verify-written'],
  ['--checksums', 'SHA256SUMS', '--verify-written'],
];

const NAMES = Object.keys(SERVERS);
const places = new Map<string, MatrixPlace>();
beforeAll(async () => {
  await Promise.all(NAMES.map(async (name) => places.set(name, await PLACES[name]!())));
});
afterAll(async () => {
  await Promise.all([...places.values()].map((place) => place.stop()));
});

interface Graded {
  readonly grade: string;
  readonly by?: string;
}

/** The grades of both sides of one copy; the status of the run. */
async function copy(name: string, way: 'from' | 'to', options: readonly string[]) {
  const place = places.get(name)!;
  const cwd = scratch();
  writeFileSync(join(cwd, 'here'), CONTENT);
  const [remote, local] = [place.url('graded'), join(cwd, way === 'from' ? 'there' : 'here')];
  const [from, to] = way === 'from' ? [remote, local] : [local, remote];
  if (way === 'from') await place.put('graded', CONTENT);
  const listed = way === 'from' ? 'there' : remote;
  writeFileSync(join(cwd, 'SHA256SUMS'), `${SHA256}  ${listed}\n`);
  const args = ['cp', '--ca', CA, '--quiet', '--report', 'report.json', ...options, from, to];
  const { status } = await bridle(args, { cwd, ...(place.env ? { env: place.env } : {}) });
  const report = JSON.parse(readFileSync(join(cwd, 'report.json'), 'utf8')) as {
    outcomes: readonly { verification: { source: Graded; destination: Graded } }[];
  };
  return { status, ...report.outcomes[0]!.verification };
}

function shown({ grade, by }: Graded): string {
  return by === undefined ? grade : `${grade} (${by})`;
}

async function rowOf(name: string, way: 'from' | 'to'): Promise<string> {
  const cells: string[] = [];
  for (const options of ASKED) {
    const { status, source, destination } = await copy(name, way, options);
    expect([name, way, options, status]).toEqual([name, way, options, 0]);
    cells.push(shown(way === 'from' ? source : destination));
  }
  return `| ${way} \`${name}:\`, ${SERVERS[name]} | ${cells.join(' | ')} |`;
}

test('P3 the page tells the grades that transfers with each kind of service reach', async () => {
  const rows: string[] = [];
  for (const name of NAMES) for (const way of ['from', 'to'] as const) rows.push(await rowOf(name, way));
  const text = readFileSync(PAGE, 'utf8');
  const [start, stop] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  const head =
    '| | nothing asked | `--checksum sha256` | and `--verify-written` | `--checksums`, `--verify-written` |\n|---|---|---|---|---|\n';
  const table = `${head}${rows.join('\n')}\n`;
  if (process.env.GRADES === 'update') {
    writeFileSync(PAGE, text.slice(0, start) + table + text.slice(stop));
  } else expect(text.slice(start, stop)).toBe(table);
});

test.each(NAMES)('P3 --require holds %s to what the page promises', async (name) => {
  const expected = ['--checksums', 'SHA256SUMS'];
  for (const way of ['from', 'to'] as const) {
    const proven = await copy(name, way, [...expected, '--verify-written', '--require', 'end-to-end']);
    expect([way, proven.status]).toEqual([way, 0]);
    // Nobody said beforehand what the bytes must be.
    const unproven = await copy(name, way, ['--require', 'end-to-end']);
    expect([way, unproven.status]).toEqual([way, 1]);
  }
  expect((await copy(name, 'to', ['--require', 'destination=server'])).status).toBe(0);
});
