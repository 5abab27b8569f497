import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { end } from '../../fixtures/misbehaving/registry.ts';
import { cutAt, type SifServices, startSifServices } from '../../fixtures/misbehaving/sif-services.ts';
import { makeSif } from '../image/made-sif.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

const open: SifServices[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const MIB = 1024 * 1024;
const SIF = makeSif(Buffer.alloc(300_000, 'partition '));
const IMAGE = 'lab/tools/montage:1.2';

async function services(options: { readonly token?: string } = {}) {
  const started = await startSifServices(options);
  open.push(started);
  const hex = started.put(IMAGE, SIF);
  started.put(IMAGE.replace('1.2', 's'), makeSif(Buffer.from('other')), { arch: 's390x' });
  const name = `library://${started.authority}/${IMAGE}`;
  return { ...started, hex, name, env: { BRIDLE_LIBRARY_URL: started.url, BRIDLE_PLATFORM: 'linux/amd64' } };
}

describe('an image of a library', () => {
  test('is pulled from the library that is set up, and from one that it names, under its own name', async () => {
    const { hex, env, name, stored } = await services();
    const cwd = scratch();
    const pulled = await bridle(['image', 'pull', `library://${IMAGE}`], { cwd, env });
    expect(pulled).toMatchObject({ status: 0, stderr: '' });
    expect(pulled.stdout).toBe(
      `library://lab/tools/montage:sha256.${hex}\n  linux/amd64, sha256:${hex}, 324 KiB → montage_1.2.sif (sif)\n`,
    );
    expect(readFileSync(join(cwd, 'montage_1.2.sif')).equals(SIF)).toBe(true);
    mkdirSync(join(cwd, 'in'));
    const { BRIDLE_PLATFORM } = env;
    expect(await bridle(['cp', '-q', name, 'in'], { cwd, env: { BRIDLE_PLATFORM } })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(readFileSync(join(cwd, 'in/montage_1.2.sif')).equals(SIF)).toBe(true);
    expect(stored).toHaveLength(2);
  });

  test('is known by its hash, in report and receipt, and asked for by it', async () => {
    const { hex, env, name, asked } = await services();
    const cwd = scratch();
    const pin = name.replace('1.2', `sha256.${hex}`);
    const args = ['cp', '-q', '--report', 'r.json', '--receipts', 'receipts', pin, 'a.sif'];
    expect(await bridle(args, { cwd, env })).toMatchObject({ status: 0, stderr: '' });
    const [item] = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')).outcomes;
    expect(item.notes).toEqual([`SIF file sha256:${hex}`]);
    expect(JSON.parse(readFileSync(join(cwd, 'receipts'), 'utf8'))).toMatchObject({
      verification: { source: { grade: 'end-to-end', by: 'library', value: hex } },
      versions: { source: `sif sha256:${hex}` },
    });
    const byDigest = name.replace(':1.2', `@sha256:${hex}`);
    expect(await bridle(['image', 'verify', byDigest, 'a.sif'], { cwd, env })).toMatchObject({ status: 0 });
    const asking = `/v1/images/lab/tools/montage:sha256.${hex}?arch=amd64`;
    expect(asked.filter(({ url }) => url === asking)).toHaveLength(2);
  });

  test.each(['singularity', undefined, 'docker'])('in a list with the type %s', async (type) => {
    const { env } = await services();
    const cwd = scratch();
    const input = JSON.stringify([
      {
        type: 'transfer',
        src_urls: [{ site_label: 'local', url: `library://${IMAGE}` }],
        dest_urls: [{ site_label: 'local', url: `file://${cwd}/montage`, ...(type ? { type } : {}) }],
      },
    ]);
    const ended = await bridle(['-m', '1'], { cwd, env, input, program: 'pegasus-transfer' });
    expect(ended.status).toBe(type === 'docker' ? 1 : 0);
    if (type === 'docker') expect(ended.stderr).toContain('a SIF file cannot be had as `docker`');
    else expect(readFileSync(join(cwd, 'montage')).equals(SIF)).toBe(true);
  });

  test('S8 P1 with another hash than the library tells never appears', async () => {
    const { hex, env, files, name } = await services();
    const wrong = Buffer.from(SIF);
    wrong[200_000]! ^= 1;
    files.set(hex, wrong);
    const cwd = scratch();
    for (const args of [
      ['cp', '-q', '-m', '1', name, 'a.sif'],
      ['image', 'pull', name, 'a.sif'],
      ['image', 'verify', name],
    ]) {
      const { status, stdout, stderr } = await bridle(args, { cwd, env });
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toContain(hex);
    }
    expect(readdirSync(cwd).filter((one) => one.endsWith('.sif'))).toEqual([]);
  });

  test('S8 of another length than the library tells is refused before its first byte', async () => {
    const { hex, env, files, name } = await services();
    files.set(hex, Buffer.concat([SIF, Buffer.from('more')]));
    const { status, stderr } = await bridle(['cp', '-q', '-m', '1', name, 'a.sif'], { cwd: scratch(), env });
    expect(status).toBe(1);
    expect(stderr).toContain(`expected ${SIF.length} bytes, the service offers ${SIF.length + 4}`);
  });

  test('S8 another one than its hash asks for is refused', async () => {
    const { env, put, authority } = await services();
    const hash = `sha256.${'0'.repeat(64)}`;
    const hex = put('lab/tools/odd:1', SIF, { hash });
    const { status, stderr } = await bridle(
      ['image', 'inspect', `library://${authority}/lab/tools/odd:sha256.${hex}`],
      { cwd: scratch(), env },
    );
    expect(status).toBe(1);
    expect(stderr).toContain(`asked for \`sha256.${hex}\`, the library has \`${hash}\``);
  });

  test('F1 that breaks off is gone on with at the object store', async () => {
    const { env, name, setStoreScript, stored } = await services();
    let isCut = false;
    setStoreScript((_, response) => {
      if (isCut) return false;
      isCut = true;
      cutAt(response, SIF, 100_000);
      return true;
    });
    const cwd = scratch();
    expect(await bridle(['cp', '-q', '-m', '1', name, 'a.sif'], { cwd, env })).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'a.sif')).equals(SIF)).toBe(true);
    expect(stored.map(({ range }) => range)).toEqual([undefined, 'bytes=100000-']);
  });

  test.each([
    ['cp', ['cp', '-q']],
    ['image pull', ['image', 'pull', '-q']],
  ])('P4 P5 that a killed %s left is gone on with, not fetched again', async (_, args) => {
    const { env, put, authority, setStoreScript, stored } = await services();
    const large = makeSif(randomBytes(24 * MIB));
    put('lab/tools/large:1', large);
    setStoreScript(({ range }, response) => {
      if (range !== undefined || stored.length > 1) return false;
      response.writeHead(200, { 'content-length': large.length }).write(large.subarray(0, 20 * MIB));
      return true;
    });
    const cwd = scratch();
    const call = [...args, `library://${authority}/lab/tools/large:1`, 'a.sif'];
    const child = start(call, { cwd, env });
    const end = ended(child);
    const folder = join(cwd, `.bridle-${process.getuid?.()}`);
    const partial = () => {
      const [name] = existsSync(folder) ? readdirSync(folder).filter((one) => one.endsWith('.part')) : [];
      return name === undefined ? 0 : statSync(join(folder, name)).size;
    };
    await expect.poll(partial, { timeout: 20_000, interval: 20 }).toBeGreaterThanOrEqual(20 * MIB);
    child.kill('SIGKILL');
    expect((await end).status).toBe('SIGKILL');
    expect(existsSync(join(cwd, 'a.sif'))).toBe(false);
    expect(await bridle(call, { cwd, env })).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'a.sif')).equals(large)).toBe(true);
    const from = Number(/^bytes=(\d+)-$/.exec(stored.at(-1)?.range ?? '')?.[1]);
    expect(from).toBeGreaterThanOrEqual(12 * MIB);
    expect(stored).toHaveLength(2);
  });

  test('F6 of a service that gives the whole alone starts over', async () => {
    const { env, name, setStoreScript } = await services();
    let cuts = 1;
    setStoreScript((_, response) => {
      if (cuts === 0) end(response, 200, {}, SIF);
      else cutAt(response, SIF, 100_000);
      cuts = 0;
      return true;
    });
    const cwd = scratch();
    expect(await bridle(['cp', '-q', name, 'a.sif'], { cwd, env })).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'a.sif')).equals(SIF)).toBe(true);
  });

  test('S1 F14 gets the token of its library, which the object store is not shown', async () => {
    const { env, name, asked, stored, authority } = await services({ token: 'secret-token' });
    const cwd = scratch();
    const refused = await bridle(['image', 'pull', name, 'a.sif'], { cwd, env });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/HTTP 401.*hint: `apptainer remote login` keeps a token/s);
    mkdirSync(join(cwd, '.apptainer'));
    const remote = (uri: string, token: string) =>
      `    URI: ${uri}\n    Token: ${token}\n    System: false\n`;
    const yaml = `Active: Other\nRemotes:\n  Other:\n${remote('elsewhere.example', 'other-token')}  Own:\n${remote(authority, 'secret-token')}`;
    writeFileSync(join(cwd, '.apptainer/remote.yaml'), yaml, { mode: 0o600 });
    for (const reference of [name, `library://${IMAGE}`]) {
      const pulled = await bridle(['image', 'pull', reference, 'a.sif'], { cwd, env });
      expect(pulled).toMatchObject({ status: 0, stderr: '' });
    }
    const shown = asked.filter(({ url }) => url !== '/version').slice(1);
    expect(new Set(shown.map(({ authorization }) => authorization))).toEqual(
      new Set(['Bearer secret-token']),
    );
    expect(stored.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
    const doctor = await bridle(['doctor', name], { cwd, env });
    expect(doctor.stdout.replaceAll(/\s+/g, ' ')).toContain(`credential the token in ${cwd}/.apptainer/`);
    expect(doctor.stdout).not.toContain('secret-token');
  });

  test('L10 comes by way of the cache once, is proven there, and linked', async () => {
    const { env, name, stored } = await services();
    const cwd = scratch();
    const own = { ...env, BRIDLE_CACHE: join(cwd, 'cache') };
    const pull = (file: string) => bridle(['image', 'pull', '-q', name, file], { cwd, env: own });
    const several = await Promise.all(['a.sif', 'b.sif', 'c.sif', 'd.sif'].map(pull));
    expect(several.map(({ status, stderr }) => [status, stderr])).toEqual(several.map(() => [0, '']));
    expect(await bridle(['cp', '-q', name, 'e.sif'], { cwd, env: own })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(stored).toHaveLength(1);
    for (const file of ['d.sif', 'e.sif']) expect(readFileSync(join(cwd, file)).equals(SIF)).toBe(true);
    expect(statSync(join(cwd, 'b.sif')).ino).toBe(statSync(join(cwd, 'a.sif')).ino);
  });

  test.each([
    ['image pull', ['image', 'pull', '-q']],
    ['cp', ['cp', '-q']],
  ])('S8 L10 that is wrong in the cache is fetched again by %s', async (_, args) => {
    const { env, name, stored } = await services();
    const cwd = scratch();
    const own = { ...env, BRIDLE_CACHE: join(cwd, 'cache') };
    expect(await bridle(['image', 'pull', '-q', name, 'a.sif'], { cwd, env: own })).toMatchObject({
      status: 0,
    });
    const { atime, mtime } = statSync(join(cwd, 'a.sif'));
    chmodSync(join(cwd, 'a.sif'), 0o600);
    // In place, with the times put back: nothing but its bytes tells.
    const file = openSync(join(cwd, 'a.sif'), 'r+');
    writeSync(file, Buffer.of(1), 0, 1, 900);
    closeSync(file);
    utimesSync(join(cwd, 'a.sif'), atime, mtime);
    // More than a week after it was compared.
    for (const below of readdirSync(join(cwd, 'cache'), { recursive: true, encoding: 'utf8' })) {
      const note = join(cwd, 'cache', below);
      if (!note.endsWith('.json')) continue;
      const told = JSON.parse(readFileSync(note, 'utf8'));
      chmodSync(note, 0o600);
      writeFileSync(note, JSON.stringify({ ...told, seal: { ...told.seal, proven: 0 } }));
    }
    expect(await bridle([...args, name, 'b.sif'], { cwd, env: own })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(readFileSync(join(cwd, 'b.sif')).equals(SIF)).toBe(true);
    expect(stored).toHaveLength(2);
  });

  test.each([
    [401, 'unauthenticated', /hint: .*apptainer remote login/],
    [403, 'permission-denied', /hint: .*apptainer remote login/],
    [404, 'not-found', /has no such image for `amd64`/],
    [200, 'unexpected', /answers with a page, not as a library does/],
  ])('F13 S5 a refusal with %i is %s', async (status, code, problem) => {
    const { env, setScript } = await services();
    setScript((_, response) => {
      end(response, status, { 'content-type': 'text/html' }, '<html>');
      return true;
    });
    const cwd = scratch();
    const args = ['cp', '-q', '-m', '1', '--report', 'r.json', `library://${IMAGE}`, 'a.sif'];
    const ended = await bridle(args, { cwd, env });
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(problem);
    const [{ failure }] = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')).outcomes;
    expect(failure.code).toBe(code);
  });

  test.each([
    ['inspect', []],
    ['pull', ['a.sif']],
  ])('P4 F11 of a busy library is asked for again by %s', async (action, more) => {
    const { env, setScript } = await services();
    let busy = 1;
    setScript((_, response) => {
      busy -= 1;
      if (busy >= 0) end(response, 503, {}, '');
      return busy >= 0;
    });
    const ended = await bridle(['image', action, `library://${IMAGE}`, ...more], { cwd: scratch(), env });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    [{ uploaded: false }, 'announced to the library, and never uploaded'],
    [{ hash: 'sif.11111111-1111-1111-1111-111111111111' }, undefined],
  ])('of which the library tells %j', async (more, problem) => {
    const { env, put } = await services();
    put(IMAGE, SIF, more);
    const cwd = scratch();
    const ended = await bridle(['image', 'pull', `library://${IMAGE}`, 'a.sif'], { cwd, env });
    expect(ended.status).toBe(problem ? 1 : 0);
    if (problem) expect(ended.stderr).toContain(problem);
    else expect(readFileSync(join(cwd, 'a.sif')).equals(SIF)).toBe(true);
  });

  test('for another processor is asked for by platform', async () => {
    const { env } = await services();
    const cwd = scratch();
    const name = `library://${IMAGE.replace('1.2', 's')}`;
    const missing = await bridle(['image', 'inspect', name], { cwd, env });
    expect([missing.status, missing.stderr]).toEqual([
      1,
      expect.stringContaining('no such image for `amd64`'),
    ]);
    const found = await bridle(['image', 'inspect', '--platform', 'linux/s390x', name], { cwd, env });
    expect(found.stdout).toContain('platform    linux/s390x\n');
  });

  test.each([
    ['library://a/b/c/d/e', 'expected `ENTITY/COLLECTION/CONTAINER`, got `b/c/d/e`'],
    ['library://a/b/c:sha256.12', 'expected a tag, or `sha256.` and 64 hexadecimal digits'],
    ['library://a/b/../c', 'expected `ENTITY/COLLECTION/CONTAINER`'],
    ['library://user:s3cret@host.example/a/b/c', 'a library takes tokens: expected a URL without a user'],
    ['shub://only', 'expected `USER/CONTAINER`'],
    ['shub://a/b@12', 'expected an md5 or a commit'],
  ])('%s is refused as wrong usage', async (name, problem) => {
    const { status, stderr } = await bridle(['image', 'pull', name], { cwd: scratch() });
    expect(status).toBe(2);
    expect(stderr).toContain(problem);
    expect(stderr).not.toContain('s3cret');
  });
});

describe('a container of a hub', () => {
  const NAME = 'lab/tool:1';
  const hub = async () => {
    const started = await services();
    started.put(NAME, SIF);
    return { ...started, env: { BRIDLE_SHUB_URL: started.url } };
  };

  test('is fetched from where the hub says, compared with its md5', async () => {
    const { env, authority, files, hex, asked, stored } = await hub();
    const cwd = scratch();
    const pulled = await bridle(['image', 'pull', `shub://${NAME}`], { cwd, env });
    expect(pulled).toMatchObject({ status: 0, stderr: '' });
    expect(pulled.stdout).toMatch(
      /^shub:\/\/lab\/tool:1@[0-9a-f]{32}\n {2}md5:[0-9a-f]{32}, 324 KiB → tool_1.sif/,
    );
    expect(readFileSync(join(cwd, 'tool_1.sif')).equals(SIF)).toBe(true);
    expect(await bridle(['cp', '-q', `shub://${authority}/${NAME}`, 'a'], { cwd })).toMatchObject({
      status: 0,
    });
    expect(readFileSync(join(cwd, 'a')).equals(SIF)).toBe(true);
    expect([...asked, ...stored].filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    files.set(hex, Buffer.from(SIF).fill(1, 900, 901));
    const wrong = await bridle(['cp', '-q', '-m', '1', `shub://${NAME}`, 'b'], { cwd, env });
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('md5')]);
    const pin = await bridle(['image', 'inspect', `shub://${NAME}@${'b'.repeat(32)}`], { cwd, env });
    expect(pin.status).toBe(1);
  });

  test('that cannot be reached was closed, which is said calmly, and what to do', async () => {
    const { env } = await hub();
    // Singularity Hub itself, as far as a machine can have it: by a proxy that does not lead there.
    const cwd = scratch();
    const ended = await bridle(['cp', '-q', 'shub://lab/tool', 'a'], {
      cwd,
      env: { https_proxy: env.BRIDLE_SHUB_URL },
    });
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(
      /Singularity Hub was closed in 2021 and gives no images any more \(.*\)\n.*hint: look for the image as `docker:/s,
    );
  });

  test.each([
    [404, 'text/plain', 'has no such container'],
    [410, 'text/plain', 'gone for good (HTTP 410)'],
    [200, 'text/html; charset=utf-8', 'answers with a page, not as a hub does'],
  ])('of another server that answers %i as %s is refused as what it is', async (status, type, problem) => {
    const { setScript, authority } = await hub();
    setScript((_, response) => {
      end(response, status, { 'content-type': type }, '<html>');
      return true;
    });
    const ended = await bridle(['image', 'inspect', `shub://${authority}/lab/tool`], { cwd: scratch() });
    expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining(problem)]);
  });

  test('is a file for `singularity`, and has no layers for `docker`', async () => {
    const { env } = await hub();
    const cwd = scratch();
    for (const [type, status] of [
      ['singularity', 0],
      ['docker', 1],
    ] as const) {
      const input = JSON.stringify([
        {
          type: 'transfer',
          src_urls: [{ site_label: 'local', url: `shub://${NAME}` }],
          dest_urls: [{ site_label: 'local', url: `file://${cwd}/tool.simg`, type }],
        },
      ]);
      const ended = await bridle(['-m', '1'], { cwd, env, input, program: 'pegasus-transfer' });
      expect(ended.status).toBe(status);
    }
    expect(readFileSync(join(cwd, 'tool.simg')).equals(SIF)).toBe(true);
  });
});
