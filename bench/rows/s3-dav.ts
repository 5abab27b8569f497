import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { makeFile, writeList } from '../inputs.ts';
import type { Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const GIB = 1024 ** 3;

export const s3Dav: Row = {
  name: 's3-dav',
  title: 'one object of 1 GiB from Ceph by S3 to Apache over WebDAV, with its sha256',
  prepare,
};

/** The others put it on this machine, hash it there, and send it. */
async function prepare(stage: Stage): Promise<Contest> {
  const size = stage.quick ? GIB / 8 : GIB;
  const ceph = await stage.server('ceph-rgw');
  const apache = await stage.server('apache-dav');
  const file = await makeFile(await stage.folder('here'), 'big.bin', size);
  const temporary = await stage.folder('temporary');
  const output = join(apache.dav, 'out');
  const env = [
    'env',
    `TMPDIR=${temporary}`,
    `AWS_ACCESS_KEY_ID=${S3_USER.accessKeyId}`,
    `AWS_SECRET_ACCESS_KEY=${S3_USER.secretAccessKey}`,
    'AWS_DEFAULT_REGION=us-east-1',
    `AWS_ENDPOINT_URL_S3=${ceph.http}`,
  ];
  const run = (...words: string[]) => execFileSync('env', [...env.slice(1), stage.bridle, ...words]);
  run('mkdir', 's3://bench');
  run('cp', '--quiet', join(stage.directory, 'here', file.name), 's3://bench/big.bin');
  const list = await writeList(join(stage.directory, 'list.json'), [
    {
      from: 's3://bench/big.bin',
      to: `${apache.http.replace('http:', 'dav:')}/open/out/big.bin`,
      sha256: file.sha256,
    },
  ]);
  const steps = [
    // curl 7.88 signs without the digest of the body, which S3 asks for, unless it is given.
    'curl -sS -f --aws-sigv4 aws:amz:us-east-1:s3 -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -o "$TMPDIR/copy" "$1"',
    'openssl dgst -sha256 "$TMPDIR/copy" | grep -q "$2"',
    'curl -sS -f -T "$TMPDIR/copy" "$3"',
    'rm "$TMPDIR/copy"',
  ];
  const their = [`${ceph.http}/bench/big.bin`, file.sha256, `${apache.http}/open/out/big.bin`];
  const curl = [...env, 'sh', '-c', steps.join(' && '), 'sh', ...their];
  return {
    contenders: [
      { name: 'bridle', words: [...env, stage.bridle, 'transfer', '--quiet', '--file', list] },
      { name: 'curl, openssl, curl', words: curl, needs: 'curl' },
    ].map((one) => ({ ...one, output, isOutputOpen: true })),
    bars: [{ contender: 'bridle', against: ['curl, openssl, curl'], time: 0.6 }],
    mostMemory: 150,
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    leaves: { files: 1, bytes: size },
    servers: [ceph.pid, apache.pid],
    temporary,
  };
}
