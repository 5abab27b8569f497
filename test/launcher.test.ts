import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LAUNCHER = join(ROOT, 'bin/bridle');

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without a PATH and without anything else in the environment, unless given. */
function run(program: string, options: { args?: string[]; env?: NodeJS.ProcessEnv; cwd?: string } = {}): Run {
  const { args = [], env = {}, cwd = '/' } = options;
  return spawnSync(program, args, { env, cwd, encoding: 'utf8' });
}

describe('the launchers', () => {
  test('differ in the command they start and in nothing else', () => {
    const read = (name: string) => readFileSync(join(ROOT, 'bin', name), 'utf8');
    const bridle = read('bridle');
    for (const name of readdirSync(join(ROOT, 'bin')).filter((one) => one !== 'bridle')) {
      expect(read(name)).not.toBe(bridle);
      expect(read(name).replace(`main=${name}.js`, 'main=bridle.js')).toBe(bridle);
    }
  });

  test('start the real command with an empty environment from anywhere', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(run(LAUNCHER, { args: ['--version'] })).toMatchObject({
      status: 0,
      stdout: `bridle ${version}\n`,
    });
  });

  test('a node that is too old is told so, with status 127', () => {
    const directory = mkdtempSync(join(tmpdir(), 'bridle-old-'));
    const old = join(directory, 'old.cjs');
    writeFileSync(old, `Object.defineProperty(process.versions, 'node', { value: '18.20.4' });`);
    const args = ['--require', old, join(ROOT, 'dist/bridle.js'), '--version'];
    const { status, stdout, stderr } = run(process.execPath, { args });
    rmSync(directory, { recursive: true });
    expect({ status, stdout }).toEqual({ status: 127, stdout: '' });
    expect(stderr).toMatch(
      /^bridle: expected node 20\.18\.1 or newer, found 18\.20\.4 at .*\nhint: set BRIDLE_NODE/,
    );
  });
});

describe('a launcher', () => {
  let home: string;

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "bridle it's installed "));
    for (const folder of ['app/bin', 'app/dist', 'app/node_modules/.bin', 'path', 'elsewhere']) {
      mkdirSync(join(home, folder), { recursive: true });
    }
    copyFileSync(LAUNCHER, join(home, 'app/bin/bridle'));
    writeFileSync(join(home, 'app/dist/bridle.js'), '');
  });
  afterEach(() => rmSync(home, { recursive: true }));

  const at = (path: string) => join(home, path);

  /** A program in node's place that says its own name and what it was given. */
  function plant(path: string): string {
    writeFileSync(at(path), `#!/bin/sh\nprintf '%s\\n' '${path}' "$UV_THREADPOOL_SIZE" "$@"\n`);
    chmodSync(at(path), 0o755);
    return at(path);
  }

  function record(node: string): void {
    writeFileSync(at('app/dist/node-path'), `${node}\n`);
  }

  function chosen(program = at('app/bin/bridle'), env: NodeJS.ProcessEnv = {}): string | undefined {
    return run(program, { env }).stdout.split('\n')[0];
  }

  test('takes the node beside it, of the checkout, of BRIDLE_NODE, of the install, of PATH, in this order', () => {
    const env = { BRIDLE_NODE: plant('elsewhere/own'), PATH: at('path') };
    plant('path/node');
    record(plant('elsewhere/recorded'));
    plant('app/node_modules/.bin/node');
    plant('app/bin/node');
    const order: (string | undefined)[] = [];
    for (const gone of [
      'app/bin/node',
      'app/node_modules/.bin/node',
      'elsewhere/own',
      'elsewhere/recorded',
    ]) {
      order.push(chosen(undefined, env));
      rmSync(at(gone));
      if (gone === 'elsewhere/own') env.BRIDLE_NODE = '';
    }
    order.push(chosen(undefined, env));
    expect(order).toEqual([
      'app/bin/node',
      'app/node_modules/.bin/node',
      'elsewhere/own',
      'elsewhere/recorded',
      'path/node',
    ]);
  });

  test('does not take a directory or a file that cannot be run for node', () => {
    mkdirSync(at('app/bin/node'));
    writeFileSync(at('app/node_modules/.bin/node'), '');
    record(plant('elsewhere/recorded'));
    expect(chosen()).toBe('elsewhere/recorded');
  });

  test('is found through links: chains, relative ones, a linked directory', () => {
    record(plant('elsewhere/recorded'));
    mkdirSync(at('a/b'), { recursive: true });
    symlinkSync('../../app/bin/bridle', at('a/b/one'));
    symlinkSync('b/one', at('a/two'));
    symlinkSync(at('a/two'), at('elsewhere/three'));
    symlinkSync('app/bin', at('linked'));
    for (const path of ['a/b/one', 'a/two', 'elsewhere/three', 'linked/bridle']) {
      expect(run(at(path))).toMatchObject({ status: 0, stderr: '' });
    }
    expect(spawnSync('bash', ['-c', 'cd a && exec ./two'], { cwd: home, env: {} }).status).toBe(0);
  });

  test('takes the node beside a link to it, as a package manager installs it', () => {
    record(plant('elsewhere/recorded'));
    plant('path/node');
    symlinkSync('../app/bin/bridle', at('path/bridle'));
    expect(chosen(at('path/bridle'))).toBe('path/node');
  });

  test('runs by name through PATH and as an argument of sh', () => {
    record(plant('elsewhere/recorded'));
    const cwd = at('app/bin');
    expect(run('/bin/sh', { args: ['bridle'], cwd }).status).toBe(0);
    expect(run('/bin/sh', { args: ['-c', 'bridle'], env: { PATH: cwd } }).status).toBe(0);
  });

  test('hands every argument on as it is, and the status back', () => {
    const node = plant('app/bin/node');
    const args = ['', 'two words', '*', "it's", '$HOME', 'line\nbreak', '--', '-x'];
    const { stdout } = run(at('app/bin/bridle'), { args });
    expect(stdout.split('\n').slice(2).join('\n')).toBe(
      `${[`${at('app/bin')}/../dist/bridle.js`, ...args].join('\n')}\n`,
    );
    writeFileSync(node, '#!/bin/sh\nexit 42\n');
    expect(run(at('app/bin/bridle')).status).toBe(42);
  });

  test('P11 gives what reads long lists of digests little room for young objects, and nothing else', () => {
    plant('app/bin/node');
    const isSmall = (...args: string[]) =>
      run(at('app/bin/bridle'), { args }).stdout.includes('--max-semi-space-size=2');
    expect(isSmall('verify', 'SHA256SUMS')).toBe(true);
    expect(isSmall('checksum', '.')).toBe(true);
    expect(isSmall('cp', '--checksums', 'SHA256SUMS', 'a', 'b')).toBe(true);
    expect(isSmall('transfer', '--checksums=SHA256SUMS')).toBe(true);
    expect(isSmall('cp', 'verify', 'b')).toBe(false);
    expect(isSmall('cp', '--checksum', 'sha256', 'a', 'b')).toBe(false);
    expect(isSmall()).toBe(false);
  });

  test('keeps the size of the thread pool that the user chose', () => {
    plant('app/bin/node');
    const size = (env: NodeJS.ProcessEnv) => run(at('app/bin/bridle'), { env }).stdout.split('\n')[1];
    expect(size({})).toBe('8');
    expect(size({ UV_THREADPOOL_SIZE: '3' })).toBe('3');
  });

  test.each([
    [
      'nothing is built',
      () => rmSync(at('app/dist'), { recursive: true }),
      {},
      /^bridle: not built: .*\nhint: run `npm ci`/,
    ],
    ['there is no node', () => {}, { PATH: '/nowhere' }, /^bridle: no node found\nhint: set BRIDLE_NODE/],
    [
      'BRIDLE_NODE names nothing',
      () => {},
      { BRIDLE_NODE: '/nowhere/node' },
      /^bridle: BRIDLE_NODE: no such program: \/nowhere\/node\nhint: /,
    ],
  ])('says what to do when %s', (_, prepare, env, message) => {
    prepare();
    const { status, stdout, stderr } = run(at('app/bin/bridle'), { env });
    expect({ status, stdout }).toEqual({ status: 127, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('says what to do when it cannot read a link', () => {
    const text = readFileSync(LAUNCHER, 'utf8').replaceAll(/(?:\/usr)?\/bin\/readlink/g, '/nowhere/readlink');
    writeFileSync(at('app/bin/bridle'), text);
    symlinkSync(at('app/bin/bridle'), at('elsewhere/bridle'));
    const { status, stderr } = run(at('elsewhere/bridle'));
    expect(status).toBe(127);
    expect(stderr).toMatch(/no readlink in .*\nhint: call the file that it points to\n$/);
  });
});
