import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFile, makeFiles } from '../inputs.ts';
import type { Row } from '../row.ts';
import { NODE } from './node.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** MiB that making or comparing digests may take, whatever the files are. */
const MOST_MEMORY = 120;

export const digestBig: Row = {
  name: 'digest-big',
  title: 'the sha256 of one file of 4 GiB',
  async prepare(stage) {
    const size = stage.quick ? GIB / 4 : 4 * GIB;
    await makeFile(await stage.folder('in'), 'big.bin', size);
    const path = join(stage.directory, 'in/big.bin');
    return {
      contenders: [
        { name: 'bridle', words: [stage.bridle, 'checksum', path] },
        { name: 'openssl dgst', words: ['openssl', 'dgst', '-sha256', path], needs: 'openssl' },
      ],
      bars: [{ contender: 'bridle', against: ['openssl dgst'], speed: 0.95 }],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
    };
  },
};

export const digestEight: Row = {
  name: 'digest-eight',
  title: 'the sha256 of eight files of 512 MiB',
  async prepare(stage) {
    const size = (stage.quick ? 64 : 512) * MIB;
    const inputs = await stage.folder('in');
    const names = await makeFiles(inputs, 8, size);
    const paths = names.map(({ name }) => join(inputs, name));
    const halves = [paths.slice(0, 4), paths.slice(4)].map(
      (half) => `openssl dgst -sha256 ${half.join(' ')}`,
    );
    return {
      contenders: [
        { name: 'bridle', words: [stage.bridle, 'checksum', inputs] },
        { name: 'openssl dgst', words: ['openssl', 'dgst', '-sha256', ...paths], needs: 'openssl' },
        // What the machine gives two processes at once: more than this nobody can have.
        {
          name: 'two of openssl',
          words: ['sh', '-c', `${halves[0]} & ${halves[1]}; wait`],
          needs: 'openssl',
        },
      ],
      bars: [{ contender: 'bridle', against: ['openssl dgst'], speed: 1.8 }],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round((8 * size) / 1e6), unit: 'MB' },
    };
  },
};

export const digestSmall: Row = {
  name: 'digest-small',
  title: '10,000 files of 10 KiB: sha256 made, then compared',
  runs: 3,
  async prepare(stage) {
    const count = stage.quick ? 200 : 10_000;
    const inputs = await stage.folder('in');
    await makeFiles(inputs, count, 10 * 1024);
    const sums = (name: string) => join(stage.directory, `${name}.sums`);
    const own = `${stage.bridle} checksum -o ${sums('bridle')} ${inputs} && ${stage.bridle} verify --quiet ${sums('bridle')}`;
    const two = `find ${inputs} -type f -print0 | xargs -0 -P2 -n ${count / 2} sha256sum`;
    const loop = `for f in ${inputs}/*; do openssl dgst -sha256 "$f"; done`;
    return {
      contenders: [
        { name: 'bridle', words: ['sh', '-c', own] },
        {
          name: 'sha256sum, two at a time',
          words: [
            'sh',
            '-c',
            `${two} > ${sums('two')} && split -n l/2 ${sums('two')} ${sums('half')} && ls ${sums('half')}* | xargs -P2 -n 1 sha256sum --check --quiet`,
          ],
        },
        {
          name: 'a loop of openssl',
          words: ['sh', '-c', `${loop} > ${sums('loop')}; ${loop} | cmp - ${sums('loop')}`],
          needs: 'openssl',
        },
      ],
      bars: [
        { contender: 'bridle', against: ['a loop of openssl'], speed: 5 },
        { contender: 'bridle', against: ['sha256sum, two at a time'], speed: 1 },
      ],
      // Of two programs, one after the other: peaks are added up.
      mostMemory: 2 * MOST_MEMORY,
      moves: { count: 2 * count, unit: 'files' },
    };
  },
};

export const digestFour: Row = {
  name: 'digest-four',
  title: 'sha256, md5, crc32c and crc64nvme of 4 GiB at once',
  async prepare(stage) {
    const size = stage.quick ? GIB / 4 : 4 * GIB;
    await makeFile(await stage.folder('in'), 'big.bin', size);
    const path = join(stage.directory, 'in/big.bin');
    const algorithms = 'sha256,md5,crc32c,crc64nvme';
    const after = `openssl dgst -sha256 ${path} && openssl dgst -md5 ${path}`;
    return {
      contenders: [
        { name: 'bridle', words: [stage.bridle, 'checksum', '-a', algorithms, path] },
        {
          name: 'bridle, from a pipe',
          words: ['sh', '-c', `cat ${path} | ${stage.bridle} checksum -a ${algorithms} -`],
        },
        { name: 'openssl sha256, then md5', words: ['sh', '-c', after], needs: 'openssl' },
      ],
      bars: [
        { contender: 'bridle', against: ['openssl sha256, then md5'], time: 1.3 },
        { contender: 'bridle, from a pipe', against: ['openssl sha256, then md5'], time: 1.3 },
      ],
      mostMemory: MOST_MEMORY,
      moves: { count: Math.round(size / 1e6), unit: 'MB' },
    };
  },
};

export const verifyOne: Row = {
  name: 'verify-one',
  title: '`pegasus-integrity --verify` of one file of 1 KiB',
  async prepare(stage) {
    const inputs = await stage.folder('in');
    await makeFile(inputs, 'small.bin', 1024);
    const value = createHash('sha256')
      .update(await readFile(join(inputs, 'small.bin')))
      .digest('hex');
    const entry = {
      _type: 'file',
      _id: 'x',
      _attributes: { 'checksum.type': 'sha256', 'checksum.value': value },
    };
    await writeFile(join(inputs, 'x.meta'), JSON.stringify([entry]));
    const program = join(dirname(stage.bridle), 'pegasus-integrity');
    return {
      contenders: [
        {
          name: 'pegasus-integrity',
          words: ['sh', '-c', `cd ${inputs} && exec ${program} --verify=x=small.bin`],
        },
        NODE,
      ],
      bars: [{ contender: 'pegasus-integrity', against: [NODE.name], time: 1.8 }],
      mostMemory: MOST_MEMORY,
    };
  },
};
