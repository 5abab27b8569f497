import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { ended, scratch } from '../commands/run-command.ts';
import { archive, type Written } from '../image/archives.ts';
import { noise } from '../image/noise.ts';
import { closeScene, registry } from '../image/scene.ts';
import { linesOfTree } from '../torture/canaries.ts';

afterEach(closeScene);

const BRIDLE = fileURLToPath(new URL('../../dist/bridle.js', import.meta.url));

const BELOW: readonly Written[] = [
  { name: 'etc/', type: 'directory', uid: 3, modified: 5 },
  { name: 'etc/gone', data: 'gone' },
  { name: 'etc/caf\xe9', data: 'kept', mode: 0o640, modified: 1_600_000_000.5 },
  { name: 'bin/large', data: noise(400_000), mode: 0o755, uid: 7, gid: 70_000 },
  { name: 'bin/same', type: 'hardlink', link: 'bin/large' },
  {
    name: 'noted',
    data: 'x',
    xattrs: new Map([
      ['user.b', '1'],
      ['user.a', '2'],
    ]),
  },
];
const ABOVE: readonly Written[] = [
  { name: 'etc/.wh.gone' },
  { name: 'usr/lib/b', data: noise(200_000) },
  { name: 'usr/lib/a', type: 'symlink', link: 'b' },
  { name: 'empty', data: '' },
];

/** How a target was made: where, by whom and under what. */
interface Way {
  readonly umask?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly isNobody?: boolean;
}

const USUAL: Way = {};
const OTHER: Way = {
  umask: '077',
  env: {
    TZ: 'Asia/Kathmandu',
    LC_ALL: 'tr_TR.UTF-8',
    LANG: 'de_DE',
    UV_THREADPOOL_SIZE: '1',
    BRIDLE_THREADS: '1',
  },
};
const NOBODY: Way = { ...OTHER, umask: '002', isNobody: true };

test('the same image is the same bytes in every format, however, wherever and whenever it is made', async () => {
  const packers = [findProgram('tar2sqfs'), findProgram('mksquashfs')];
  const cwd = scratch();
  fs.chmodSync(cwd, 0o755);
  const host = await registry();
  putImage(host, { repository: 'a/b', tag: '1' }, [archive(BELOW), archive(ABOVE)]);
  const name = `docker://${host.authority}/a/b:1`;
  let made = 0;

  /** `bridle image ARGS TARGET`; the digest of what it leaves. */
  async function make(
    args: readonly string[],
    format: string,
    way: Way,
    packer = packers[0],
  ): Promise<string> {
    made += 1;
    const place = join(cwd, `place-${made}`);
    const [temporary, programs] = [join(place, 'tmp'), join(place, 'bin')];
    for (const one of [place, temporary, programs]) fs.mkdirSync(one);
    fs.symlinkSync(packer ?? '', join(programs, packer?.split('/').pop() ?? ''));
    if (way.isNobody) for (const one of [place, temporary]) fs.chownSync(one, 65_534, 65_534);
    const command = [process.execPath, BRIDLE, 'image', ...args, '-q', '--format', format, 'made'];
    const child = spawn('/bin/sh', ['-c', `umask ${way.umask ?? '022'}; exec "$@"`, 'sh', ...command], {
      cwd: place,
      ...(way.isNobody ? { uid: 65_534, gid: 65_534 } : {}),
      env: { PATH: programs, HOME: place, TMPDIR: temporary, BRIDLE_STATE: join(place, 'state'), ...way.env },
    });
    const { status, stderr } = await ended(child);
    expect([args.join(' '), format, status, stderr]).toEqual([args.join(' '), format, 0, '']);
    return digestOf(join(place, 'made'));
  }

  const all = new Map<string, Set<string>>();
  const add = (kind: string, digest: string) => all.set(kind, (all.get(kind) ?? new Set()).add(digest));
  const FORMATS = ['hybrid', 'docker-archive', 'oci-archive', 'oci', 'sif', 'sandbox'] as const;

  for (const format of FORMATS) {
    add(format, await make(['pull', name], format, USUAL));
    fs.renameSync(join(cwd, `place-${made}/made`), join(cwd, format));
  }
  add('sif by mksquashfs', await make(['pull', name], 'sif', USUAL, packers[1]));
  // A day later.
  for (const one of FORMATS) fs.utimesSync(join(cwd, one), 86_400, 86_400);
  const from = (format: string) => ['convert', join(cwd, format)];
  for (const format of FORMATS)
    add(format, await make(from(format === 'hybrid' ? 'oci' : 'hybrid'), format, OTHER));
  add('sif by mksquashfs', await make(from('oci-archive'), 'sif', OTHER, packers[1]));
  for (const format of ['docker-archive', 'sif', 'sandbox'])
    add(format, await make(from('docker-archive'), format, USUAL));
  for (const format of FORMATS.slice(0, -1)) add(format, await make(from('oci-archive'), format, NOBODY));
  const cache = ['pull', name, '--cache', join(cwd, 'cache')];
  for (const format of ['hybrid', 'hybrid', 'sif', 'sif']) add(format, await make(cache, format, OTHER));
  expect([...all].filter(([, digests]) => digests.size !== 1)).toEqual([]);
});

/** Of a file its bytes, of a directory all that lies in it. */
function digestOf(path: string): string {
  const hash = createHash('sha256');
  if (fs.statSync(path).isFile()) return hash.update(fs.readFileSync(path)).digest('hex');
  if (!fs.existsSync(join(path, 'index.json')))
    return hash.update(linesOfTree(path).join('\n')).digest('hex');
  const names = fs.readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
  for (const name of names) {
    hash.update(`${name}\n`);
    if (fs.statSync(join(path, name)).isFile()) hash.update(fs.readFileSync(join(path, name)));
  }
  return hash.digest('hex');
}
