import { mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Content } from '../../fixtures/misbehaving/content.ts';
import { digestAt } from '../places/digest-at.ts';
import type { StoragePlace } from '../places/place.ts';
import { startProduct } from './product.ts';
import { withScratch } from './scratch.ts';

const MIB = 1024 * 1024;
const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
/** What is written down of a partial, so that a next run can go on with it: a journal and a handle, no content. */
const NOTES = /^[0-9a-f-]+\.(?:journal|handle|handle\.new)$/;

/** Bytes that a transfer may take at its peak, whatever the size of its file. */
export const MOST_MEMORY = 150 * MIB;

export interface Measured {
  /** Bytes: the most that the program itself held at any moment. */
  readonly peak: number;
  readonly violations: readonly string[];
}

/** Copies a file by `bin/bridle` from one place to another and says what was not as it must be. */
export async function copyMeasured(
  from: StoragePlace,
  to: StoragePlace,
  content: Content,
): Promise<Measured> {
  const [source, name] = [`large-${content.size}.bin`, `large-${content.size}-${content.seed}.bin`];
  await from.put(source, content.blocks());
  return withScratch('memory', tmpdir(), async (directory) => {
    const path = (file: string) => join(directory, file);
    const [peak, report] = [path('peak'), path('report.mjs')];
    for (const folder of ['tmp', 'state', 'state/partials']) mkdirSync(path(folder), { mode: 0o700 });
    // Of this program alone: what getrusage(2) tells begins with the size of whoever started it.
    writeFileSync(
      report,
      `import { readFileSync, writeFileSync } from 'node:fs';
process.on('exit', () => writeFileSync(${JSON.stringify(peak)}, readFileSync('/proc/self/status')));`,
    );
    const written = new Set<string>();
    const watchers = ['tmp', 'state/partials'].map((folder) =>
      watch(path(folder), (_, file) => void written.add(`${folder}/${file}`)),
    );
    const env = {
      HOME: directory,
      TMPDIR: path('tmp'),
      BRIDLE_STATE: path('state'),
      NODE_OPTIONS: `--import ${report}`,
      ...from.env,
      ...to.env,
    };
    const args = ['cp', '--ca', CA, '--checksum', 'sha256', from.url(source), to.url(name)];
    const { code, stderr } = await startProduct(args, env).ended;
    for (const watcher of watchers) watcher.close();
    const violations: string[] = [];
    if (code !== 0) violations.push(`ended with ${code}: ${stderr}`);
    const stored = await digestAt(to, name);
    if (stored?.size !== content.size) violations.push(`${stored?.size} bytes are there`);
    if (stored?.sha256 !== content.digest('sha256')) violations.push('the content is another');
    const files = [...written].filter((file) => !NOTES.test(file.replace('state/partials/', '')));
    const left = ['tmp', 'state/partials'].flatMap((folder) => readdirSync(path(folder)));
    if (files.length > 0) violations.push(`temporary files: ${files.join(', ')}`);
    if (left.length > 0) violations.push(`left behind: ${left.join(', ')}`);
    const held = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(peak, 'utf8'))?.[1] ?? Number.NaN) * 1024;
    if (!(held < MOST_MEMORY)) violations.push(`it held ${held} bytes at its peak`);
    await Promise.all([from.remove(source), to.remove(name)]);
    return { peak: held, violations };
  });
}
