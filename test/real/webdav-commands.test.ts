import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningDav } from '../../fixtures/servers/dav.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { bridle, scratch } from '../commands/run-command.ts';

const running = new Map<string, RunningDav>();
beforeAll(async () => {
  running.set('apache', await startServer('apache-dav'));
  running.set('nginx', await startServer('nginx-dav'));
});
afterAll(async () => {
  for (const server of running.values()) await server.stop();
});

test.each(['apache', 'nginx'])(
  '%s: ls, stat, mkdir, cp -r and rm -r do on dav URLs what they do on paths',
  async (name) => {
    const server = running.get(name) as RunningDav;
    const base = `${server.http.replace('http', 'dav')}/open/commands`;
    const cwd = scratch();
    fs.mkdirSync(join(cwd, 'tree/deep/empty'), { recursive: true });
    fs.writeFileSync(join(cwd, 'tree/a file'), 'first');
    fs.writeFileSync(join(cwd, 'tree/deep/ä#%2F'), 'second');
    fs.writeFileSync(join(cwd, 'tree/nothing'), '');
    const run = async (...args: string[]) => {
      const { status, stdout, stderr } = await bridle(args, { cwd });
      return status === 0 ? stdout : `${status} ${stderr}`;
    };

    expect(await run('mkdir', base, base)).toBe('');
    expect(await run('cp', '-r', 'tree', base)).toBe('');
    expect(await run('ls', '-r', base)).toBe(
      ['tree', 'tree/a file', 'tree/deep', 'tree/deep/empty', 'tree/deep/ä#%2F', 'tree/nothing', ''].join(
        '\n',
      ),
    );
    expect(await run('ls', '-l', `${base}/tree`)).toMatch(
      /^- {15}5 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ a file\nd /,
    );
    expect(JSON.parse(await run('stat', '--json', `${base}/tree/a%20file`))).toMatchObject({
      type: 'file',
      size: 5,
    });
    expect(await run('cp', '-r', `${base}/tree`, `${base}/again`)).toBe('');
    expect(await run('cp', '-r', `${base}/again`, 'back')).toBe('');
    for (const each of ['a file', 'deep/ä#%2F', 'nothing']) {
      expect(fs.readFileSync(join(cwd, 'back', each), 'utf8')).toBe(
        fs.readFileSync(join(cwd, 'tree', each), 'utf8'),
      );
    }
    expect(fs.readdirSync(join(cwd, 'back/deep/empty'))).toEqual([]);
    expect(await run('rm', `${base}/tree`)).toMatch(/^1 .*not empty.*hint: .*-r/s);
    expect(await run('rm', '-r', `${base}/tree`, `${base}/absent`)).toBe('');
    expect(await run('ls', base)).toBe('again\n');
    expect(await run('rm', '-r', base)).toBe('');
    expect(await run('stat', base)).toMatch(/^1 .*not found/s);
    expect(fs.readdirSync(server.dav)).toEqual([]);
  },
);

test.each(['apache', 'nginx'])(
  '%s: many files at once into directories that nobody made are all there',
  async (name) => {
    const server = running.get(name) as RunningDav;
    const cwd = scratch();
    fs.mkdirSync(join(cwd, 'many'));
    const names = Array.from({ length: 64 }, (_, index) => `f${index}`);
    for (const each of names) fs.writeFileSync(join(cwd, 'many', each), each);
    const to = `${server.http.replace('http', 'dav')}/open/${name}/not/yet`;
    const { status, stderr } = await bridle(['cp', '-r', '--threads', '16', 'many', to], { cwd });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const there = join(server.dav, name, 'not/yet');
    expect(fs.readdirSync(there).sort()).toEqual([...names].sort());
    for (const each of names) expect(fs.readFileSync(join(there, each), 'utf8')).toBe(each);
  },
);
