import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { bridle, scratch } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

let place: MatrixPlace | undefined;

afterEach(async () => {
  await place?.stop();
  place = undefined;
});

const NAMES = ['a', 'b', 'c', 'd'];
/** Some small, some in several parts. */
const MAKE = 'echo 1 >a; head -c 9000000 /dev/zero >b; head -c 20000000 /dev/zero >c; echo 4 >d';

describe.each(Object.keys(PLACES))('bridle run --atomic-outputs to %s', (name) => {
  test('stores more outputs than it has threads, then a manifest that verifies them; of a run that fails nothing appears', async () => {
    place = await PLACES[name]?.();
    if (!place) throw new Error('no such place');
    const { url, env = {}, look } = place;
    const cwd = scratch();
    const options = {
      cwd,
      env: { ...env, BRIDLE_TLS_VERIFY: 'off', TMPDIR: cwd, PEGASUS_WN_TMP_MIN_SPACE: '1' },
    };
    const run = (prefix: string, lost: readonly string[]) =>
      bridle(
        [
          ...['run', '-q', '-n', '1', '-m', '1', '--ssh-host-key', 'off'],
          ...['--atomic-outputs', url(`${prefix}done.json`)],
          ...NAMES.flatMap((one) => [
            '-o',
            `${one}=${lost.includes(one) ? join(cwd, 'file/lost') : url(`${prefix}${one}`)}`,
          ]),
          ...['--', '/bin/sh', '-c', MAKE],
        ],
        options,
      );
    const whole = await run('', []);
    expect(whole).toMatchObject({ status: 0 });
    expect(String(await look('a'))).toBe('1\n');
    expect((await look('c'))?.length).toBe(20_000_000);
    const manifest = JSON.parse(String(await look('done.json')));
    expect(manifest.files.map((file: { name: string }) => file.name)).toEqual(NAMES);
    const verified = await bridle(['verify', '--ssh-host-key', 'off', url('done.json')], options);
    expect(verified).toMatchObject({ status: 0 });

    writeFileSync(join(cwd, 'file'), '');
    const lost = await run('y-', ['d']);
    expect(lost.status).toBe(74);
    for (const one of [...NAMES, 'done.json']) expect(await look(`y-${one}`)).toBeUndefined();
    expect(readFileSync(join(cwd, 'file'), 'utf8')).toBe('');
  }, 120_000);
});
