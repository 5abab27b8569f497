import { join } from 'node:path';
import { makeFile, writeList } from '../inputs.ts';
import type { Contender, Contest } from '../row.ts';
import type { Stage } from '../stage.ts';

/** What one large file is fetched with. */
export interface OneHttp {
  readonly bridle: Contender;
  readonly curl: Contender;
  readonly curlChecked: Contender;
  readonly aria2: Contender;
  readonly rclone: Contender;
  readonly contest: Pick<Contest, 'moves' | 'leaves'>;
}

/** Makes the file behind the web server, and a list with its sha256. */
export async function prepareOneHttp(stage: Stage, output: string, size: number): Promise<OneHttp> {
  const { url, root } = await stage.web();
  const { sha256 } = await makeFile(root, 'big.bin', size);
  const from = `${url}/big.bin`;
  const to = `${output}/big.bin`;
  const list = await writeList(join(stage.directory, 'list.json'), [{ from, to: `file://${to}`, sha256 }]);
  const bridle = [stage.bridle, 'transfer', '--quiet', '--file', list];
  return {
    bridle: { name: 'bridle', words: bridle, output },
    curl: { name: 'curl', words: ['curl', '-sS', '-o', to, from], needs: 'curl', output },
    curlChecked: {
      name: 'curl, then openssl',
      words: ['sh', '-c', `curl -sS -o ${to} ${from} && openssl dgst -sha256 ${to}`],
      needs: 'curl',
      output,
    },
    aria2: {
      name: 'aria2c',
      words: ['aria2c', '-q', '-d', output, '--file-allocation=none', `--checksum=sha-256=${sha256}`, from],
      needs: 'aria2c',
      output,
    },
    rclone: {
      name: 'rclone, one stream',
      words: [
        ...['rclone', 'copy', '-q', '--config', '/dev/null', '--multi-thread-streams', '0'],
        ...['--http-url', url, ':http:big.bin', output],
      ],
      needs: 'rclone',
      output,
    },
    contest: {
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
      leaves: { files: 1, bytes: size },
    },
  };
}
