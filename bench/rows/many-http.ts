import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MadeFile, makeFiles, writeList } from '../inputs.ts';
import type { Contender, Contest } from '../row.ts';
import type { Stage } from '../stage.ts';

const SIZE = 10 * 1024;

/** What 10,000 files of 10 KiB are fetched with, each by its own kind of list. */
export interface ManyHttp {
  readonly bridle: Contender;
  readonly bridleAsUsual: Contender;
  readonly aria2: Contender;
  readonly aria2Checked: Contender;
  readonly rclone: Contender;
  readonly curl: Contender;
  readonly contest: Pick<Contest, 'moves' | 'leaves'>;
}

/** Makes the files behind the web server, and a list for each of the programs. */
export async function prepareManyHttp(stage: Stage, output: string): Promise<ManyHttp> {
  const count = stage.quick ? 500 : 10_000;
  const { url, root } = await stage.web();
  const files = await makeFiles(root, count, SIZE);
  const lists = await writeLists(stage, output, url, files);
  const transfer = [stage.bridle, 'transfer', '--quiet'];
  const aria = ['aria2c', '-q', '-j64', '-d', output, '--file-allocation=none', '--auto-file-renaming=false'];
  return {
    bridle: { name: 'bridle -n 64', words: [...transfer, '-n', '64', '--file', lists.bridle], output },
    bridleAsUsual: { name: 'bridle', words: [...transfer, '--file', lists.bridle], output },
    aria2: { name: 'aria2c', words: [...aria, '-i', lists.aria2], needs: 'aria2c', output },
    aria2Checked: {
      name: 'aria2c, checked',
      words: [...aria, '-i', lists.aria2Checked],
      needs: 'aria2c',
      output,
    },
    rclone: {
      name: 'rclone',
      words: [
        ...['rclone', 'copy', '-q', '--config', '/dev/null', '--transfers', '64', '--checkers', '64'],
        ...['--files-from', lists.names, '--no-traverse', '--http-url', url, ':http:', output],
      ],
      needs: 'rclone',
      output,
    },
    curl: {
      name: 'curl -Z',
      words: ['curl', '-sS', '-Z', '--parallel-max', '64', '--parallel-immediate', '-K', lists.curl],
      needs: 'curl',
      output,
    },
    contest: {
      moves: { count, unit: 'files' },
      leaves: { files: count, bytes: count * SIZE },
    },
  };
}

async function writeLists(stage: Stage, output: string, url: string, files: readonly MadeFile[]) {
  const write = async (name: string, lines: readonly string[]) => {
    const path = join(stage.directory, name);
    await writeFile(path, `${lines.join('\n')}\n`);
    return path;
  };
  const entries = files.map(({ name, sha256 }) => ({
    from: `${url}/${name}`,
    to: `file://${output}/${name}`,
    sha256,
  }));
  const checked = files.flatMap(({ name, sha256 }) => [`${url}/${name}`, ` checksum=sha-256=${sha256}`]);
  const pairs = files.map(({ name }) => `url = "${url}/${name}"\noutput = "${output}/${name}"`);
  return {
    bridle: await writeList(join(stage.directory, 'list.json'), entries),
    aria2: await write(
      'aria2.txt',
      files.map(({ name }) => `${url}/${name}`),
    ),
    aria2Checked: await write('aria2-checked.txt', checked),
    names: await write(
      'names.txt',
      files.map(({ name }) => name),
    ),
    curl: await write('curl.txt', pairs),
  };
}
