import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, scratch } from './run-command.ts';

const hex = (algorithm: string, text: string | Buffer) => createHash(algorithm).update(text).digest('hex');
const servers: MisbehavingServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** Files `a`, `b` and `c/d`, which hold their own names. */
function scene(): string {
  const cwd = scratch();
  mkdirSync(join(cwd, 'c'));
  for (const name of ['a', 'b', 'c/d']) writeFileSync(join(cwd, name), name);
  return cwd;
}

const sums = (names: readonly string[], algorithm = 'sha256') =>
  names.map((name) => `${hex(algorithm, name)}  ${name}\n`).join('');

describe('bridle verify', () => {
  test('is content only when everything listed is what it must be', async () => {
    const cwd = scene();
    writeFileSync(join(cwd, 'SHA256SUMS'), sums(['a', 'b', 'c/d']));
    expect(await bridle(['verify', 'SHA256SUMS'], { cwd })).toEqual({
      status: 0,
      stdout: '',
      stderr: '3 proven\n',
    });
    writeFileSync(join(cwd, 'b'), 'X');
    rmSync(join(cwd, 'a'));
    const { status, stdout, stderr } = await bridle(['verify', '-v', 'SHA256SUMS'], { cwd });
    expect(status).toBe(1);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^a: MISSING, .*no such file/),
      `b: WRONG, expected sha256 ${hex('sha256', 'b')}, it has ${hex('sha256', 'X')}`,
      'c/d: OK, sha256',
      '',
    ]);
    expect(stderr).toBe('1 proven, 1 wrong, 1 missing\n');
  });

  test.each(['sums', 'bsd', 'json', 'meta', 'registry'])(
    'reads the %s that checksum writes',
    async (format) => {
      const cwd = scene();
      const made = await bridle(['checksum', '--format', format, '-o', 'list', 'a', 'b', 'c'], { cwd });
      expect(made).toEqual({ status: 0, stdout: '', stderr: '' });
      const again = () => bridle(['verify', '--format', format, 'list'], { cwd });
      expect(await again()).toEqual({ status: 0, stdout: '', stderr: '3 proven\n' });
      writeFileSync(join(cwd, 'c/d'), 'c/D');
      expect(await again()).toMatchObject({ status: 1, stderr: '2 proven, 1 wrong\n' });
    },
  );

  const A = hex('sha256', 'a');
  test.each([
    [
      'x.meta4',
      `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a"><size>1</size><hash type="sha-256">${A}</hash><url>https://h.example/a</url></file></metalink>`,
    ],
    [
      'ro-crate-metadata.json',
      `{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [{"@id": "a", "@type": "File", "contentSize": "1", "sha256": "${A}"}]}`,
    ],
    [
      'rc.yml',
      `pegasus: "5.0"\nreplicas:\n  - lfn: a\n    pfns:\n      - site: local\n        pfn: /elsewhere/a\n    checksum:\n      sha256: ${A}\n`,
    ],
    ['rc.txt', `a file:///elsewhere/a site="local" checksum.type="sha256" checksum.value="${A}"\n`],
  ])('P3 %s, which others write, is told by itself, and proves files of its names', async (name, text) => {
    const cwd = scene();
    writeFileSync(join(cwd, name), text);
    const again = () => bridle(['verify', name], { cwd });
    expect(await again()).toEqual({ status: 0, stdout: '', stderr: '1 proven\n' });
    writeFileSync(join(cwd, 'a'), 'A');
    expect(await again()).toMatchObject({
      status: 1,
      stdout: `a: WRONG, expected sha256 ${A}, it has ${hex('sha256', 'A')}\n`,
    });
  });

  test('a bag is complete: what its manifest does not name is wrong, too', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'bag/data'), { recursive: true });
    writeFileSync(join(cwd, 'bag/bagit.txt'), 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n');
    writeFileSync(join(cwd, 'bag/data/x'), 'x');
    writeFileSync(join(cwd, 'bag/manifest-sha256.txt'), `${hex('sha256', 'x')}  data/x\n`);
    const again = () => bridle(['verify', 'bag/manifest-sha256.txt'], { cwd });
    expect(await again()).toMatchObject({ status: 0, stderr: '1 proven\n' });
    writeFileSync(join(cwd, 'bag/data/y'), 'y');
    expect(await again()).toEqual({
      status: 1,
      stdout: 'data/y: EXTRA, no manifest names it\n',
      stderr: '1 proven, 1 extra\n',
    });
    writeFileSync(join(cwd, 'bag/manifest-sha256.txt'), `${hex('sha256', 'x')}  ../bag/data/x\n`);
    expect((await again()).stdout).toMatch(/^\.\.\/bag\/data\/x: NOT VERIFIED, it lies outside of /);
  });

  test('a digest on the command line is of the file behind it', async () => {
    const cwd = scene();
    const right = [`sha256:${hex('sha256', 'a')}`, `MD5:${hex('md5', 'a').toUpperCase()}`, 'a'];
    const wrong = [`sha-1:${hex('sha1', 'a')}`, 'b'];
    expect(await bridle(['verify', ...right], { cwd })).toMatchObject({ status: 0, stderr: '1 proven\n' });
    expect(await bridle(['verify', ...right, ...wrong], { cwd })).toMatchObject({
      status: 1,
      stderr: '1 proven, 1 wrong\n',
    });
    const base64 = Buffer.from(hex('sha256', 'a'), 'hex').toString('base64');
    for (const [value, problem] of [
      [base64, 'got base64'],
      [hex('sha256', 'a').slice(2), 'got 62'],
      [`${hex('sha256', 'a').slice(1)}g`, 'got `g`'],
    ]) {
      const bad = await bridle(['verify', `sha256:${value}`, 'a'], { cwd });
      expect(bad.status).toBe(2);
      expect(bad.stderr).toContain(`\`sha256:…\`: expected 64 hexadecimal digits for sha256, ${problem}`);
    }
    const cut = await bridle(['verify', 'a', ...right.slice(0, 1)], { cwd });
    expect(cut.status).toBe(2);
  });

  test('files that no manifest names are extra, when that is asked', async () => {
    const cwd = scene();
    writeFileSync(join(cwd, 'SHA256SUMS'), sums(['a', 'b']));
    expect(await bridle(['verify', 'SHA256SUMS'], { cwd })).toMatchObject({ status: 0 });
    expect(await bridle(['verify', '--extra', 'SHA256SUMS'], { cwd })).toMatchObject({
      status: 1,
      stdout: 'c/d: EXTRA, no manifest names it\n',
    });
  });

  test('B6 bad lines are named, the others count, and the status is not 0', async () => {
    const cwd = scene();
    const base64 = Buffer.from(hex('sha256', 'base'), 'hex').toString('base64');
    writeFileSync(
      join(cwd, 'SHA256SUMS'),
      `${sums(['a'])}abc  b\n${hex('sha256', 'x')}  c/d\n${sums(['c/d'])}${base64}  base\n`,
    );
    const { status, stdout, stderr } = await bridle(['verify', 'SHA256SUMS'], { cwd });
    expect(status).toBe(1);
    expect(stdout).toMatch(/^SHA256SUMS: line 2: NOT VERIFIED, .* \(`b`\)$/m);
    expect(stdout).toMatch(/^SHA256SUMS: line 5: NOT VERIFIED, .*got base64: .* \(`base`\)$/m);
    expect(stdout).toMatch(/^SHA256SUMS: line 4: NOT VERIFIED, contradicts line 3/m);
    expect(stderr).toBe('1 proven, 3 not verified\n');
  });

  test('two manifests that disagree about a file prove nothing of it', async () => {
    const cwd = scene();
    writeFileSync(join(cwd, 'one.sha256'), sums(['a', 'b']));
    writeFileSync(join(cwd, 'two.sha256'), `${hex('sha256', 'other')}  a\n`);
    const { status, stdout } = await bridle(['verify', 'one.sha256', 'two.sha256'], { cwd });
    expect(status).toBe(1);
    expect(stdout).toBe(
      `a: NOT VERIFIED, the manifests disagree: sha256 ${hex('sha256', 'a')} (\`one.sha256\`, line 1) and ${hex('sha256', 'other')} (\`two.sha256\`, line 1)\n`,
    );
  });

  test('an empty manifest proves nothing', async () => {
    const cwd = scene();
    writeFileSync(join(cwd, 'SHA256SUMS'), '');
    expect(await bridle(['verify', 'SHA256SUMS'], { cwd })).toMatchObject({
      status: 1,
      stderr: 'nothing to verify: no digest was listed\n',
    });
  });

  test('a manifest that is not there, or none, is bad input', async () => {
    const cwd = scene();
    expect((await bridle(['verify', 'gone'], { cwd })).status).toBe(2);
    expect((await bridle(['verify', 'a'], { cwd })).stderr).toContain('nothing tells the format');
    expect((await bridle(['verify'], { cwd })).stderr).toContain('expected a manifest');
  });

  test('P3 URLs are read, and what a server declares of other bytes is wrong', async () => {
    const cwd = scratch();
    const good = await startMisbehaving({ content: { size: 3_000_000 } });
    const liar = await startMisbehaving({ script: 'F20', content: { size: 1000 } });
    servers.push(good, liar);
    const digest = `sha256:${good.content().digest('sha256')}`;
    expect(await bridle(['verify', digest, good.url], { cwd })).toMatchObject({ status: 0 });
    const { status, stdout } = await bridle(
      ['verify', '--read', `sha256:${liar.content().digest('sha256')}`, liar.url],
      { cwd },
    );
    expect(status).toBe(1);
    expect(stdout).toContain(': WRONG, ');
  });

  test('a verdict a line for programs', async () => {
    const cwd = scene();
    const { stdout } = await bridle(
      ['verify', '--json', `md5:${hex('md5', 'a')}`, 'a', `md5:${hex('md5', 'x')}`, 'b'],
      {
        cwd,
      },
    );
    expect(
      stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { name: 'a', status: 'proven', by: 'read', algorithm: 'md5', value: hex('md5', 'a'), size: 1 },
      { name: 'b', status: 'wrong', problem: expect.stringContaining('expected md5') },
    ]);
  });
});
