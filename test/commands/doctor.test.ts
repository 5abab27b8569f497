import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

describe('doctor of this machine', () => {
  test('tells what is spoken, by what means, and that nothing is wrong', async () => {
    const cwd = scratch();
    const { status, stdout } = await bridle(['doctor'], { cwd });
    expect(status).toBe(0);
    expect(stdout).toContain(`node        ${process.versions.node}`);
    expect(stdout).toMatch(/speaks +file .*\bhttps\b/);
    expect(stdout).toMatch(/sftp, scp +by /);
    expect(stdout).toMatch(/credentials none found/);
    for (const line of stdout.split('\n').filter((text) => !text.includes('/')))
      expect(line.length).toBeLessThanOrEqual(80);
  });

  test('names what runs containers and makes SIF files, and a cache that cannot be used', async () => {
    const cwd = scratch();
    const bin = join(cwd, 'bin');
    for (const directory of [bin, join(cwd, 'open')]) mkdirSync(directory);
    for (const name of ['docker', 'apptainer', 'mksquashfs'])
      writeFileSync(join(bin, name), '', { mode: 0o755 });
    const some = await bridle(['doctor'], { cwd, env: { PATH: bin, BRIDLE_CACHE: join(cwd, 'cache') } });
    expect(some.status).toBe(0);
    const text = some.stdout.replace(/\s+/g, ' ');
    expect(text).toContain(`containers ${bin}/docker ${bin}/apptainer `);
    expect(text).toContain(`builders ${bin}/docker ${bin}/apptainer `);
    expect(text).toContain(`SIF files made by ${bin}/mksquashfs`);
    expect(text).toContain(`cache ${cwd}/cache`);
    chmodSync(join(cwd, 'open'), 0o777);
    const none = await bridle(['doctor'], { cwd, env: { PATH: '/none', BRIDLE_CACHE: join(cwd, 'open') } });
    expect(none.status).toBe(1);
    const told = none.stdout.replace(/\s+/g, ' ');
    expect(told).toContain('containers none of podman, docker, apptainer, singularity, shifter in PATH');
    expect(told).toContain('builders none of buildah, podman, docker, apptainer, singularity in PATH');
    expect(told).toContain('SIF files making a SIF file: none of tar2sqfs, mksquashfs is in PATH');
    expect(told).toContain('others can write to');
  });

  test('S12 B5 names credential files that will be refused, and how to mend them', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'open.conf'), '[host]\npassword = hunter2\n');
    chmodSync(join(cwd, 'open.conf'), 0o644);
    const env = { PEGASUS_CREDENTIALS_condor: join(cwd, 'open.conf'), SSH_PRIVATE_KEY: join(cwd, 'nope') };
    const { status, stdout } = await bridle(['doctor'], { cwd, env });
    expect(status).toBe(1);
    expect(stdout).toContain('others may read it (mode 0644)');
    expect(stdout).toContain('hint: chmod 600');
    expect(stdout.replace(/\s+/g, ' ')).toContain('nope: no such file');
    expect(stdout).not.toContain('hunter2');
  });

  test('S12 names every file that credentials are looked for in, where no variable names another', async () => {
    const cwd = scratch();
    const names = [
      '.pegasus/credentials.conf',
      '.pegasus/s3cfg',
      '.netrc',
      '.aws/credentials',
      '.config/gcloud/application_default_credentials.json',
      '.ssh/known_hosts',
    ];
    for (const name of names) {
      mkdirSync(join(cwd, name, '..'), { recursive: true });
      writeFileSync(join(cwd, name), 'marked', { mode: 0o600 });
    }
    writeFileSync(join(cwd, 'cfg'), 'marked', { mode: 0o644 });
    writeFileSync(join(cwd, `bt_u${process.geteuid?.()}`), 'marked', { mode: 0o600 });
    const env = { HOME: cwd, S3CFG: join(cwd, 'cfg'), XDG_RUNTIME_DIR: cwd };
    const { status, stdout } = await bridle(['doctor', '--json'], { cwd, env });
    expect(status).toBe(1);
    const texts = (JSON.parse(stdout).facts as readonly { readonly text: string }[]).map(({ text }) => text);
    const looked = [...names, `bt_u${process.geteuid?.()}`].map((name) => join(cwd, name));
    expect(texts).toEqual(expect.arrayContaining(looked));
    expect(texts).toContain(`S3CFG: ${cwd}/cfg: others may read it (mode 0644)`);
    expect(stdout).not.toContain('marked');
  });

  test('P10 tells of secrets only that they are set', async () => {
    const cwd = scratch();
    const env = { AWS_ACCESS_KEY_ID: 'AKIAMARK', BEARER_TOKEN: 'markmarkmark' };
    const { stdout } = await bridle(['doctor', '--json'], { cwd, env });
    expect(JSON.parse(stdout).facts).toContainEqual({ label: 'credentials', text: 'BEARER_TOKEN is set' });
    expect(stdout.toLowerCase()).not.toMatch(/akiamark|markmark/);
  });

  test('counts verification that is turned off as wrong', async () => {
    const { status, stdout } = await bridle(['doctor', '--ssh-host-key', 'off'], {
      cwd: scratch(),
      env: { BRIDLE_TLS_VERIFY: 'off' },
    });
    expect(status).toBe(1);
    expect(stdout.match(/^! .*NOT verified/gm)).toHaveLength(2);
  });
});

describe('doctor of a place', () => {
  test('tells of a file and of a directory what can be done with them', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'file'), 'content');
    mkdirSync(join(cwd, 'empty'));
    const { status, stdout } = await bridle(['doctor', '--json', 'file', 'empty'], { cwd });
    expect(status).toBe(0);
    const [file, empty] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const labels = (one: typeof file) => one.facts.map(({ label }: { readonly label: string }) => label);
    expect(labels(file)).toEqual([
      'credential',
      'can',
      'there',
      'version',
      'ranges',
      'disk',
      'copies',
      'free',
    ]);
    expect(labels(empty)).toEqual(['credential', 'can', 'there', 'listing', 'disk', 'copies', 'free']);
    expect(empty.facts[3]).toEqual({ label: 'listing', text: 'empty' });
  });

  test('P5 goes on behind what is not there or not spoken, and fails in the end', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'file'), 'content');
    const { status, stdout } = await bridle(['doctor', 'nothing', 'go://a/b', 'file'], { cwd });
    expect(status).toBe(1);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(/ ! there [^!]*\(not-found\)/);
    expect(stdout).toContain('`go` is not a scheme that bridle speaks');
    expect(stdout).toMatch(/there +file, 7 bytes/);
  });
});
