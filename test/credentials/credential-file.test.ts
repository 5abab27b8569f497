import { execFileSync } from 'node:child_process';
import { chmod, mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { readCredentialFile, refuseExposed } from '../../src/credentials/credential-file.ts';
import { createFileCache } from '../../src/credentials/file-cache.ts';
import { errorOf, UID, useScratch } from './scratch.ts';

const scratch = useScratch();

async function refusal(path: string): Promise<string> {
  const error = await errorOf(() => readCredentialFile({ path, variable: 'V' }));
  expect(error.message).toContain(`reading \`${path}\` (V): `);
  return `${error.code} ${error.message.slice(error.message.indexOf('): ') + 3)}`;
}

describe('reading', () => {
  test('a file that is not there is undefined, also below a file', async () => {
    const file = await scratch.write('f', 'text');
    expect(await readCredentialFile({ path: scratch.path('none') })).toBeUndefined();
    expect(await readCredentialFile({ path: `${file}/below` })).toBeUndefined();
  });

  test('B5 a directory, a device, a socket and a FIFO without writer are refused at once', async () => {
    await mkdir(scratch.path('directory'));
    expect(await refusal(scratch.path('directory'))).toBe(
      'invalid-request expected a regular file, got a directory',
    );
    expect(await refusal('/dev/null')).toBe('invalid-request expected a regular file, got a FIFO or device');
    execFileSync('mkfifo', [scratch.path('fifo')]);
    expect(await refusal(scratch.path('fifo'))).toContain('got a FIFO or device');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(scratch.path('socket'), resolve));
    try {
      expect(await refusal(scratch.path('socket'))).toContain('got a socket or device');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('B5 a file that cannot be opened is permission-denied', async () => {
    await symlink('loop', scratch.path('loop'));
    expect(await refusal(scratch.path('loop'))).toContain('permission-denied');
  });

  test('a file of 1 MiB is read, one byte more is refused', async () => {
    const text = 'x'.repeat(1024 * 1024);
    const file = await scratch.write('f', text);
    expect((await readCredentialFile({ path: file }))?.text).toBe(text);
    await writeFile(file, `${text}x`);
    expect(await refusal(file)).toBe('invalid-request expected at most 1 MiB, got more');
  });

  test('B5 bytes that are no UTF-8 are refused, a byte order mark is dropped', async () => {
    expect(await refusal(await scratch.write('f', Uint8Array.of(0xff, 0xfe, 0x5b)))).toBe(
      'invalid-request expected UTF-8 text, got other bytes',
    );
    const path = await scratch.write('g', '\ufeff[s]');
    expect((await readCredentialFile({ path }))?.text).toBe('[s]');
  });

  test('a symbolic link is followed unless it is to be refused', async () => {
    await scratch.write('f', 'text');
    const path = scratch.path('link');
    await symlink('f', path);
    expect((await readCredentialFile({ path }))?.text).toBe('text');
    const error = await errorOf(() => readCredentialFile({ path, refuseLink: true }));
    expect(error.message).toContain('got a symbolic link');
  });
});

describe('who may read it', () => {
  test.each([0o640, 0o604, 0o620, 0o601, 0o660, 0o777])(
    'S12 mode %o is refused with the command that mends it',
    async (mode) => {
      const file = { path: await scratch.write('f', 'text', mode) };
      const found = await readCredentialFile(file);
      const error = await errorOf(() => found && refuseExposed(found, file, UID));
      expect(error.code).toBe('permission-denied');
      expect(error.message).toContain(`expected mode 0600, got 0${mode.toString(8)}`);
      expect(error.hint).toBe(`chmod 600 ${file.path}`);
    },
  );

  test.each([0o600, 0o400, 0o700])('mode %o is taken', async (mode) => {
    const file = { path: await scratch.write('f', 'text', mode) };
    const found = await readCredentialFile(file);
    expect(() => found && refuseExposed(found, file, UID)).not.toThrow();
    expect(found).toMatchObject({ text: 'text', owner: UID, mode });
  });

  test('S12 a file of another user is refused, one of root is taken', async () => {
    const file = { path: await scratch.write('f', 'text') };
    const owner = await scratch.disown(file.path);
    const found = await readCredentialFile(file);
    if (!found) throw new Error('the file has gone');
    const error = await errorOf(() => refuseExposed(found, file, owner + 1));
    expect(error.message).toContain(`expected a file of user ${owner + 1} or root, got one of user ${owner}`);
    expect(() => refuseExposed({ ...found, owner: 0 }, file, owner + 1)).not.toThrow();
  });
});

describe('the cache', () => {
  test('a changed file is noticed after a second, and at once when asked again', async () => {
    let time = 0;
    const cached = createFileCache(
      ({ text }) => text,
      () => time,
    );
    const file = { path: await scratch.write('f', 'old') };
    expect(await cached(file, false)).toBe('old');
    await writeFile(file.path, 'new');
    time = 999;
    expect(await cached(file, false)).toBe('old');
    expect(await cached(file, true)).toBe('new');
    await writeFile(file.path, 'NEW');
    time = 1998;
    expect(await cached(file, false)).toBe('new');
    time = 1999;
    expect(await cached(file, false)).toBe('NEW');
  });

  test('an unchanged file is parsed once, however often and by how many it is asked for', async () => {
    let time = 0;
    let parsed = 0;
    const cached = createFileCache(
      () => ++parsed,
      () => time,
    );
    const file = { path: await scratch.write('f', 'text') };
    for (time = 0; time < 5000; time += 500) {
      await Promise.all(Array.from({ length: 50 }, () => cached(file, false)));
    }
    expect(parsed).toBe(1);
  });

  test('a change of mode alone is a change', async () => {
    let time = 0;
    const cached = createFileCache(
      ({ mode }) => mode,
      () => time,
    );
    const file = { path: await scratch.write('f', 'text') };
    expect(await cached(file, false)).toBe(0o600);
    await chmod(file.path, 0o644);
    time = 1000;
    expect(await cached(file, false)).toBe(0o644);
  });

  test('a change that keeps size and modification time is a change', async () => {
    let time = 0;
    const cached = createFileCache(
      ({ text }) => text,
      () => time,
    );
    const file = { path: await scratch.write('f', 'old') };
    await utimes(file.path, 1, 1);
    expect(await cached(file, false)).toBe('old');
    await writeFile(file.path, 'new');
    await utimes(file.path, 1, 1);
    time = 1000;
    expect(await cached(file, false)).toBe('new');
  });

  test('a file that comes late, and one that was mended, are found', async () => {
    let time = 0;
    const cached = createFileCache(
      ({ text }) => {
        if (text === 'bad') throw new TypeError('bad');
        return text;
      },
      () => time,
    );
    const file = { path: scratch.path('f') };
    expect(await cached(file, false)).toBeUndefined();
    await scratch.write('f', 'bad');
    time = 1000;
    await expect(cached(file, false)).rejects.toThrow('bad');
    await expect(cached(file, false)).rejects.toThrow('bad');
    await scratch.write('f', 'good');
    time = 2000;
    expect(await cached(file, false)).toBe('good');
  });

  test('L12 a clock that steps back makes it look again', async () => {
    let time = 1_000_000;
    const cached = createFileCache(
      ({ text }) => text,
      () => time,
    );
    const file = { path: await scratch.write('f', 'old') };
    expect(await cached(file, false)).toBe('old');
    await writeFile(file.path, 'newer');
    time = 0;
    expect(await cached(file, false)).toBe('newer');
  });
});
