import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFiles } from '../inputs.ts';
import type { Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { NODE } from './node.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const RUNS = 21;
/** MiB, whatever a job prints. */
const MOST_MEMORY = 100;

/** The wrapper, with its temporary files where the inputs are, and its record in a file. */
const wrapped = ({ bridle, directory }: Stage, ...args: string[]): string[] => [
  'env',
  `KICKSTART_TMP=${directory}`,
  join(dirname(bridle), 'pegasus-kickstart'),
  '-l',
  join(directory, 'record'),
  ...args,
];

export const jobTrue: Row = {
  name: 'job-true',
  title: 'the shortest job there is',
  runs: RUNS,
  prepare: async (stage) => ({
    contenders: [{ name: 'pegasus-kickstart', words: wrapped(stage, '/bin/true') }, NODE],
    bars: [{ contender: 'pegasus-kickstart', against: [NODE.name], time: 2.2 }],
  }),
};

export const jobPrint: Row = {
  name: 'job-print',
  title: 'a job that prints 2 GiB',
  async prepare(stage) {
    const size = stage.quick ? GIB / 8 : 2 * GIB;
    const print = ['head', '-c', String(size), '/dev/zero'];
    return {
      contenders: [
        { name: 'pegasus-kickstart', words: wrapped(stage, `/usr/bin/${print[0]}`, ...print.slice(1)) },
        { name: 'cat', words: ['sh', '-c', `${print.join(' ')} | cat >${join(stage.directory, 'printed')}`] },
      ],
      bars: [{ contender: 'pegasus-kickstart', against: ['cat'], speed: 0.8 }],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
    };
  },
};

export const jobMany: Row = {
  name: 'job-many',
  title: 'a job with 3,000 inputs and 3,000 outputs of 10 KiB',
  async prepare(stage) {
    const count = stage.quick ? 100 : 3000;
    const inputs = await stage.folder('in');
    const names = (await makeFiles(inputs, count, 10 * 1024)).map(({ name }) => join(inputs, name));
    const list = async (kind: string) => {
      const path = join(stage.directory, kind);
      await writeFile(path, names.map((name, at) => `${kind}.${at}=${name}\n`).join(''));
      return `@${path}`;
    };
    return {
      contenders: [
        {
          name: 'pegasus-kickstart',
          words: wrapped(stage, '-S', await list('initial'), '-s', await list('final'), '/bin/true'),
        },
        {
          name: 'sha256sum',
          words: ['sh', '-c', `cd ${inputs} && sha256sum * >../sums`],
          needs: 'sha256sum',
        },
      ],
      bars: [{ contender: 'pegasus-kickstart', against: ['sha256sum'], longer: 2 }],
      mostMemory: 150,
      moves: { count, unit: 'files' },
    };
  },
};

export const jobInputs: Row = {
  name: 'job-inputs',
  title: '50 inputs of 64 MiB, verified before the job starts',
  async prepare(stage) {
    const [count, size] = stage.quick ? [8, 8 * MIB] : [50, 64 * MIB];
    const inputs = await stage.folder('in');
    const files = await makeFiles(inputs, count, size);
    const sums = join(stage.directory, 'SHA256SUMS');
    await writeFile(sums, files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''));
    const work = await stage.folder('work');
    const lists = files.flatMap(({ name }) => ['-i', `${name}=${join(inputs, name)}`]);
    const meta = files.map(({ name, sha256 }) => ({
      _type: 'file',
      _id: name,
      _attributes: { 'checksum.type': 'sha256', 'checksum.value': sha256 },
    }));
    await writeFile(join(inputs, 'all.meta'), JSON.stringify(meta));
    await writeFile(join(stage.directory, 'names'), files.map(({ name }) => name).join(';;;'));
    const integrity = join(dirname(stage.bridle), 'pegasus-integrity');
    return {
      contenders: [
        {
          name: 'pegasus-integrity',
          words: ['sh', '-c', `cd ${inputs} && ${integrity} --verify=stdin <../names && exec /bin/true`],
        },
        // Brings them into the work directory as well.
        {
          name: 'bridle run',
          words: [stage.bridle, 'run', '-q', '-w', work, '--checksums', sums, ...lists, '--', '/bin/true'],
        },
        {
          name: 'openssl, one after another',
          words: [
            'sh',
            '-c',
            `cd ${inputs} && for f in file-*; do openssl dgst -sha256 "$f" || exit 1; done >../made && exec /bin/true`,
          ],
          needs: 'openssl',
        },
      ],
      bars: [
        { contender: 'pegasus-integrity', against: ['openssl, one after another'], speed: 1.7 },
        { contender: 'bridle run', against: ['openssl, one after another'], speed: 1 },
      ],
      moves: { count: Math.round((count * size) / 1e6), unit: 'MB' },
    };
  },
};
