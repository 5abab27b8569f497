import { join } from 'node:path';
import { type MadeFile, makeFile, makeFiles, writeList } from '../inputs.ts';
import type { Bar, Contender, Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const GIB = 1024 ** 3;
const SMALL = 10 * 1024;
/** At a time; Apache of the fixture serves 64. */
const AT_ONCE = '16';

export const davUp: Row = {
  name: 'dav-up',
  title: 'one file of 1 GiB to Apache over WebDAV, with its sha256',
  prepare: (stage) => prepareOne(stage, 'up'),
};

export const davDown: Row = {
  name: 'dav-down',
  title: 'one file of 1 GiB from Apache over WebDAV, with its sha256',
  prepare: (stage) => prepareOne(stage, 'down'),
};

export const davSmall: Row = {
  name: 'dav-small',
  title: '2,000 files of 10 KiB to Apache over WebDAV, each with its sha256',
  prepare: prepareMany,
};

async function prepareOne(stage: Stage, way: 'up' | 'down'): Promise<Contest> {
  const size = stage.quick ? GIB / 8 : GIB;
  const { http, dav, pid } = await stage.server('apache-dav');
  const from = way === 'up' ? await stage.folder('here') : dav;
  const output = join(way === 'up' ? dav : stage.directory, 'out');
  const file = await makeFile(from, 'big.bin', size);
  const rclone = rcloneTo(`${http}/open`);
  const ends =
    way === 'up'
      ? [join(from, file.name), `:webdav:out/${file.name}`]
      : [`:webdav:${file.name}`, join(output, file.name)];
  const url = `${http}/open/${way === 'up' ? 'out/' : ''}${file.name}`;
  const curl = way === 'up' ? ['-T', join(from, file.name)] : ['-o', join(output, file.name)];
  const peers: Contender[] = [
    {
      name: 'rclone',
      words: ['rclone', 'copyto', ...rclone, '--multi-thread-streams', '0', ...ends],
      needs: 'rclone',
      output,
    },
    { name: 'curl', words: ['curl', '-sS', '-f', ...curl, url], needs: 'curl', output },
  ];
  const move = { http, way, from, output };
  return {
    contenders: [await bridle(stage, move, [file]), ...peers].map((one) => ({ ...one, isOutputOpen: true })),
    bars: barsOf(['bridle']),
    mostMemory: 250,
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    leaves: { files: 1, bytes: size },
    servers: [pid],
  };
}

async function prepareMany(stage: Stage): Promise<Contest> {
  const count = stage.quick ? 200 : 2000;
  const { http, dav, pid } = await stage.server('apache-dav');
  const from = await stage.folder('here');
  const output = join(dav, 'out');
  const files = await makeFiles(from, count, SMALL);
  const rclone = ['rclone', 'copy', ...rcloneTo(`${http}/open`), '--checkers', AT_ONCE];
  const move = { http, way: 'up', from, output } as const;
  const contenders: Contender[] = [
    await bridle(stage, move, files, ['-n', AT_ONCE]),
    {
      name: 'rclone',
      words: [...rclone, '--transfers', AT_ONCE, from, ':webdav:out'],
      needs: 'rclone',
      output,
    },
  ];
  return {
    contenders: contenders.map((one) => ({ ...one, isOutputOpen: true })),
    bars: barsOf([`bridle -n ${AT_ONCE}`]),
    mostMemory: 250,
    moves: { count, unit: 'files' },
    leaves: { files: count, bytes: count * SMALL },
    servers: [pid],
  };
}

function barsOf(names: readonly string[]): Bar[] {
  return names.map((contender) => ({ contender, against: ['rclone'], speed: 1 }));
}

function rcloneTo(url: string): string[] {
  return ['-q', '--config', '/dev/null', '--webdav-url', url, '--webdav-vendor', 'other'];
}

interface Move {
  readonly http: string;
  readonly way: 'up' | 'down';
  readonly from: string;
  readonly output: string;
}

async function bridle(
  stage: Stage,
  { http, way, from, output }: Move,
  files: readonly MadeFile[],
  options: readonly string[] = [],
): Promise<Contender> {
  const served = `${http.replace('http:', 'dav:')}/open`;
  const entries = files.map(({ name, sha256 }) => ({
    from: way === 'up' ? `file://${from}/${name}` : `${served}/${name}`,
    to: way === 'up' ? `${served}/out/${name}` : `file://${output}/${name}`,
    sha256,
  }));
  const list = await writeList(join(stage.directory, 'list.json'), entries);
  return {
    name: ['bridle', ...options].join(' '),
    words: [stage.bridle, 'transfer', '--quiet', ...options, '--file', list],
    output,
  };
}
