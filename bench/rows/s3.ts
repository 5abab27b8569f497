import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { type MadeFile, makeFile, makeFiles, writeList } from '../inputs.ts';
import type { Bar, Contender, Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const GIB = 1024 ** 3;
const SMALL = 100 * 1024;
/** At a time, as rclone is told. */
const AT_ONCE = '64';

export const s3SmallUp: Row = {
  name: 's3-small-up',
  title: '2,000 files of 100 KiB to Ceph by S3, each with its sha256',
  prepare: (stage) => prepareMany(stage, 'up'),
};

export const s3SmallDown: Row = {
  name: 's3-small-down',
  title: '2,000 objects of 100 KiB from Ceph by S3, each with its sha256',
  prepare: (stage) => prepareMany(stage, 'down'),
};

export const s3BigUp: Row = {
  name: 's3-big-up',
  title: 'one file of 1 GiB to Ceph by S3, with its sha256',
  prepare: (stage) => prepareOne(stage, 'up'),
};

export const s3BigDown: Row = {
  name: 's3-big-down',
  title: 'one object of 1 GiB from Ceph by S3, with its sha256',
  prepare: (stage) => prepareOne(stage, 'down'),
};

type Way = 'up' | 'down';

async function prepareMany(stage: Stage, way: Way): Promise<Contest> {
  const count = stage.quick ? 200 : 2000;
  const service = await openService(stage);
  const from = await stage.folder('here');
  const files = await makeFiles(from, count, SMALL);
  const many = ['--transfers', AT_ONCE, '--checkers', AT_ONCE];
  const contenders = await contestants(stage, service, way, files, { rclone: many, bridle: ['-n', AT_ONCE] });
  return {
    contenders,
    bars: [
      { contender: `bridle -n ${AT_ONCE}`, against: ['rclone'], speed: 1 },
      { contender: `bridle -n ${AT_ONCE}`, against: ['aws'], speed: 1.5 },
    ],
    mostMemory: 150,
    moves: { count, unit: 'files' },
    ...(way === 'down' ? { leaves: { files: count, bytes: count * SMALL } } : {}),
    servers: [service.pid],
  };
}

async function prepareOne(stage: Stage, way: Way): Promise<Contest> {
  const size = stage.quick ? GIB / 8 : GIB;
  const service = await openService(stage);
  const from = await stage.folder('here');
  const files = [await makeFile(from, 'big.bin', size)];
  const bars: Bar[] = [
    { contender: 'bridle', against: ['rclone'], speed: 1.2 },
    { contender: 'bridle', against: ['aws'], speed: 1 },
  ];
  return {
    contenders: await contestants(stage, service, way, files, { rclone: [], bridle: [] }),
    bars,
    mostMemory: 150,
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    ...(way === 'down' ? { leaves: { files: 1, bytes: size } } : {}),
    servers: [service.pid],
  };
}

interface Service {
  readonly http: string;
  readonly pid: number;
  /** `env NAME=VALUE…`, before a command. */
  readonly env: readonly string[];
}

/** Ceph with a bucket `bench`. rclone takes a bundle of authorities from the environment for all there are. */
async function openService(stage: Stage): Promise<Service> {
  const { http, pid } = await stage.server('ceph-rgw');
  const env = [
    'env',
    '-u',
    'AWS_CA_BUNDLE',
    `AWS_ACCESS_KEY_ID=${S3_USER.accessKeyId}`,
    `AWS_SECRET_ACCESS_KEY=${S3_USER.secretAccessKey}`,
    'AWS_DEFAULT_REGION=us-east-1',
    `AWS_ENDPOINT_URL_S3=${http}`,
  ];
  execFileSync('env', [...env.slice(1), stage.bridle, 'mkdir', 's3://bench'], { stdio: 'inherit' });
  return { http, pid, env };
}

async function contestants(
  stage: Stage,
  { http, env }: Service,
  way: Way,
  files: readonly MadeFile[],
  options: { readonly rclone: readonly string[]; readonly bridle: readonly string[] },
): Promise<Contender[]> {
  const here = join(stage.directory, 'here');
  const output = join(stage.directory, 'out');
  const entriesTo = (from: string, to: string) =>
    files.map(({ name, sha256 }) => ({ from: `${from}/${name}`, to: `${to}/${name}`, sha256 }));
  if (way === 'down') {
    const list = await writeList(
      join(stage.directory, 'fill.json'),
      entriesTo(`file://${here}`, 's3://bench/in'),
    );
    execFileSync('env', [...env.slice(1), stage.bridle, 'transfer', '--quiet', '--file', list]);
  }
  const entries =
    way === 'up'
      ? entriesTo(`file://${here}`, 's3://bench/bridle')
      : entriesTo('s3://bench/in', `file://${output}`);
  const list = await writeList(join(stage.directory, 'list.json'), entries);
  const service = ['--s3-provider', 'Ceph', '--s3-endpoint', http, '--s3-env-auth', '--s3-no-check-bucket'];
  const rclone = way === 'up' ? [here, ':s3:bench/rclone'] : [':s3:bench/in', output];
  const aws = way === 'up' ? [here, 's3://bench/aws'] : ['s3://bench/in', output];
  return [
    {
      name: ['bridle', ...options.bridle].join(' '),
      words: [...env, stage.bridle, 'transfer', '--quiet', ...options.bridle, '--file', list],
      output,
    },
    {
      name: 'rclone',
      words: [
        ...env,
        'rclone',
        'copy',
        '-q',
        '--config',
        '/dev/null',
        '--ignore-times',
        ...service,
        ...options.rclone,
        ...rclone,
      ],
      needs: 'rclone',
      output,
    },
    {
      name: 'aws',
      words: [
        ...env,
        '/usr/bin/aws',
        '--endpoint-url',
        http,
        's3',
        'cp',
        '--only-show-errors',
        '--recursive',
        ...aws,
      ],
      needs: '/usr/bin/aws',
      output,
    },
  ];
}
