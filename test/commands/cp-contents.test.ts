import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { addBucket, BUCKET, store } from '../gcs-subject.ts';
import { bridle, scratch } from './run-command.ts';

const NAMES = ['a', 'sub/b'] as const;

/** Places that hold `dir/a` and `dir/sub/b`. */
const PLACES: Readonly<
  Record<string, (cwd: string) => Promise<{ readonly url: string; readonly env: Record<string, string> }>>
> = {
  'this machine': async (cwd) => {
    mkdirSync(join(cwd, 'dir/sub'), { recursive: true });
    for (const name of NAMES) writeFileSync(join(cwd, 'dir', name), name);
    return { url: 'dir', env: {} };
  },
  s3: async () => {
    const s3 = await startScriptedS3();
    onTestFinished(() => s3.close());
    for (const name of NAMES) s3.store.objects.set(`/bucket/dir/${name}`, Buffer.from(name));
    const keys = { AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's', AWS_REGION: 'r' };
    return { url: 's3://bucket/dir', env: { ...keys, AWS_ENDPOINT_URL: s3.url } };
  },
  gs: async () => {
    const emulator = await startGcsEmulator();
    onTestFinished(() => emulator.close());
    addBucket(emulator, BUCKET);
    for (const name of NAMES) store(emulator, `dir/${name}`, Buffer.from(name));
    return { url: `gs://${BUCKET}/dir`, env: { STORAGE_EMULATOR_HOST: emulator.origin } };
  },
};

function filesBelow(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(join(folder, name)).isFile()).sort();
}

describe.each(Object.keys(PLACES))('from %s, `cp -r` takes', (place) => {
  test.each([
    ['`dir/.`, what is in it, into a directory that is there', '/.', true, ['a', 'sub/b']],
    ['`dir/.`, what is in it, to a name that is yet to be made', '/.', false, ['a', 'sub/b']],
    ['`dir/`, it, into a directory that is there', '/', true, ['dir/a', 'dir/sub/b']],
    ['`dir/`, it, as a name that is yet to be made', '/', false, ['a', 'sub/b']],
  ])('%s', async (_, end, isThere, wanted) => {
    const cwd = scratch();
    const { url, env } = await (PLACES[place] as (typeof PLACES)[string])(cwd);
    if (isThere) mkdirSync(join(cwd, 'out'));
    const { status, stderr } = await bridle(['cp', '-r', url + end, 'out'], { cwd, env });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(filesBelow(join(cwd, 'out'))).toEqual(wanted);
  });

  test('`dir/.` only with -r', async () => {
    const cwd = scratch();
    const { url, env } = await (PLACES[place] as (typeof PLACES)[string])(cwd);
    const { status, stderr } = await bridle(['cp', `${url}/.`, 'out'], { cwd, env });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/is a directory \(use -r\)/);
  });
});
