import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CleanRules, type Finding, findAt } from '../../src/commands/clean-find.ts';
import { TransferError } from '../../src/errors.ts';
import { partialFolderName } from '../../src/local/partials.ts';
import { newNonce, nonceLives, writerId } from '../../src/local/writer.ts';
import { parseUrl } from '../../src/location.ts';
import { keyOfPartial, nonceOf, partialName } from '../../src/partial-name.ts';
import type { Endpoint, Leftover } from '../../src/protocol.ts';
import { createRemoteJournals, listRemoteJournals } from '../../src/remote-journals.ts';
import { bridle, scratch } from './run-command.ts';

const KEY = '0123456789abcdef0123456789abcdef';
/** A process that cannot be alive: pid 1 did not start at tick 0xdead. */
const DEAD = `${writerId().slice(0, 8)}-00000001-00000000dead`;
const HOUR = 3600_000;

/** Puts a file there whose time is some hours ago. */
function put(path: string, hours = 48): void {
  fs.writeFileSync(path, '12345');
  const then = new Date(Date.now() - hours * HOUR);
  fs.utimesSync(path, then, then);
}

function folderIn(directory: string, name = partialFolderName()): string {
  const folder = join(directory, name);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

describe('clean of this machine', () => {
  test('P9 L13 removes what dead writers left long ago, and nothing else', async () => {
    const cwd = scratch();
    const folder = folderIn(join(cwd, 'a/b'));
    const [old, young, live] = [`${KEY}-${DEAD}-1`, `${KEY}-${DEAD}-2`, `${KEY}-${writerId()}-1`];
    for (const name of [`${old}.part`, `${old}.part.journal`, `${live}.part`]) put(join(folder, name));
    put(join(folder, `${young}.part`), 48);
    put(join(folder, `${young}.part.journal`), 5);
    put(join(folder, 'notes.part'));
    const others = [folderIn(cwd, '.bridle-98765'), folderIn(join(cwd, 'open'))];
    fs.chmodSync(others[1]!, 0o770);
    for (const other of others) put(join(other, `${old}.part`));
    fs.symlinkSync(join(cwd, 'open'), join(cwd, 'a/link'));

    const { status, stdout, stderr } = await bridle(['clean', cwd], { cwd });
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr:
        '3 leftovers: 1 removed (5 B), 2 kept (10 B)\nhint: --older-than AGE says how old is old enough\n',
    });
    const at = `file://${folder}/`;
    expect(stdout.replace(/ +/g, ' ').split('\n').sort()).toEqual([
      '',
      `kept 2d 5 B partial ${at}${live}.part (a process may be writing it)`,
      `kept 5h 5 B partial ${at}${young}.part (younger than --older-than)`,
      `removed 2d 5 B partial ${at}${old}.part`,
    ]);
    expect(fs.readdirSync(folder).sort()).toEqual(
      [`${young}.part`, `${young}.part.journal`, `${live}.part`, 'notes.part'].sort(),
    );
    for (const other of others) expect(fs.readdirSync(other)).toEqual([`${old}.part`]);
  });

  test('P9 a folder that holds nothing any more goes with what was in it, or by itself', async () => {
    const cwd = scratch();
    const [full, empty] = [folderIn(join(cwd, 'a')), folderIn(join(cwd, 'b'))];
    put(join(full, `${KEY}-${DEAD}.link`));
    expect(await bridle(['clean', '--older-than', '0s', '.'], { cwd })).toMatchObject({
      status: 0,
      stderr: '2 leftovers: 2 removed\n',
    });
    expect([full, empty].filter((folder) => fs.existsSync(folder))).toEqual([]);
  });

  test('P9 --dry-run removes nothing', async () => {
    const cwd = scratch();
    const folder = folderIn(cwd);
    put(join(folder, `${KEY}-${DEAD}-1.part`));
    expect(await bridle(['clean', '--dry-run', cwd], { cwd })).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^would remove +2d +5 B {2}partial {2}file:/),
      stderr: '1 leftover: 1 would be removed (5 B)\n',
    });
    expect(fs.readdirSync(folder)).toHaveLength(1);
  });

  test('the path of a file stands for what a write to it left', async () => {
    const cwd = scratch();
    const folder = folderIn(cwd);
    const own = createHash('sha256').update(`file://${cwd}/f`).digest('hex').slice(0, 32);
    for (const key of [own, KEY]) put(join(folder, `${key}-${DEAD}-1.part`));
    expect(await bridle(['clean', `${cwd}/f`], { cwd })).toMatchObject({ status: 0 });
    expect(fs.readdirSync(folder)).toEqual([`${KEY}-${DEAD}-1.part`]);
    expect(await bridle(['clean', 'f'], { cwd })).toMatchObject({ stderr: 'nothing was left behind\n' });
  });

  test.each(['7', '-1d', '1x', 'd', '1 d', '1e9d', '1w'])(
    'an age of `%s` is bad input, and nothing is looked at',
    async (age) => {
      const cwd = scratch();
      const { status, stdout, stderr } = await bridle(['clean', `--older-than=${age}`, cwd], { cwd });
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toContain(
        `--older-than: expected an age with its unit, such as \`30m\`, \`12h\` or \`7d\`, got \`${age}\``,
      );
    },
  );

  test('without a place, or with one that is not there, it says so', async () => {
    const cwd = scratch();
    expect(await bridle(['clean'], { cwd })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('expected a path or URL'),
    });
    expect(await bridle(['clean', 'no/such'], { cwd })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no such file or directory'),
    });
  });
});

describe('clean of a service', () => {
  const RULES: Omit<CleanRules, 'state'> = { olderThan: 0, anyOwner: false };
  const HEADER = { source: 'a', version: 'v', algorithms: ['sha256'] as const };

  /** Findings at `url`, where `endpoint` is. */
  async function findings(url: string, endpoint: Endpoint, rules: CleanRules): Promise<Finding[]> {
    const endpoints = { open: async () => endpoint, close: async () => undefined };
    const visit = { endpoints, signal: new AbortController().signal };
    const found: Finding[] = [];
    const fail = (problem: TransferError) => expect.unreachable(problem.message);
    for await (const finding of findAt(parseUrl(url), visit, rules, fail)) found.push(finding);
    return found;
  }

  function serviceWith(...leftovers: readonly Leftover[]): Endpoint {
    return {
      service: 'test',
      stat: async () => ({ type: 'directory' }),
      read: async () => expect.unreachable(),
      async *leftovers() {
        yield* leftovers;
      },
    };
  }

  /** What a dead process wrote down under `state`. */
  function writeDown(state: string, destination: string, handle: string): void {
    const journals = createRemoteJournals(state, () => undefined);
    const note = journals.create(KEY)!;
    note.open({ ...HEADER, destination }, []).close();
    note.keepHandle(handle);
    note.leave();
    const folder = join(state, 'partials');
    for (const name of fs.readdirSync(folder).filter((one) => one.includes(writerId())))
      fs.renameSync(join(folder, name), join(folder, name.replace(writerId(), DEAD)));
  }

  test('P9 an upload that no note tells of stays, unless those of others are asked for', async () => {
    const state = join(scratch(), 'state');
    const upload: Leftover = { kind: 'upload', path: '/f', age: 5, remove: async () => undefined };
    const kept = await findings('gs://b/', serviceWith(upload), { ...RULES, state });
    expect(kept).toMatchObject([{ where: 'gs://b/f', kept: 'perhaps of others' }]);
    const asked = await findings('gs://b/', serviceWith(upload), { ...RULES, state, anyOwner: true });
    expect(asked).toMatchObject([{ where: 'gs://b/f', kept: undefined }]);
  });

  test('P9 what has no time is as young as can be', async () => {
    const state = join(scratch(), 'state');
    const path = `/${partialName(KEY, '0'.repeat(16))}`;
    const partial: Leftover = { kind: 'partial', path, remove: async () => undefined };
    const rules = { ...RULES, state, olderThan: 1 };
    expect(await findings('gs://b/', serviceWith(partial), rules)).toMatchObject([{ kept: 'too young' }]);
  });

  test('P9 a note tells that an upload is ours, and goes with it', async () => {
    const state = join(scratch(), 'state');
    writeDown(state, 'gs://b/dir/f', 'h');
    let removed = 0;
    const remove = async () => {
      removed += 1;
    };
    const isNamedBy = (handle: string) => handle === 'h';
    const upload: Leftover = { kind: 'upload', path: '/dir/f', age: 5, isNamedBy, remove };
    const [finding, ...more] = await findings('gs://b/dir', serviceWith(upload), { ...RULES, state });
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ where: 'gs://b/dir/f', kept: undefined });
    expect(await finding!.remove()).toBe(undefined);
    expect(removed).toBe(1);
    expect(listRemoteJournals(state)).toEqual([]);
  });

  test('P9 the note of an upload that could not be removed stays', async () => {
    const state = join(scratch(), 'state');
    writeDown(state, 'gs://b/f', 'h');
    const upload: Leftover = {
      kind: 'upload',
      path: '/f',
      isNamedBy: () => true,
      remove: async () => {
        throw new TransferError('unavailable', 'down');
      },
    };
    const [finding] = await findings('gs://b/', serviceWith(upload), { ...RULES, state });
    await expect(finding!.remove()).rejects.toThrow('down');
    expect(listRemoteJournals(state)).toMatchObject([{ destination: 'gs://b/f', isInUse: false }]);
  });

  test('P9 L13 what this process, or any live one, works on is kept', async () => {
    const state = join(scratch(), 'state');
    const note = createRemoteJournals(state, () => undefined).create(KEY)!;
    note.open({ ...HEADER, destination: 'gs://b/f' }, []);
    note.keepHandle('h');
    const upload: Leftover = {
      kind: 'upload',
      path: '/f',
      isNamedBy: (handle) => handle === 'h',
      remove: async () => expect.unreachable(),
    };
    const rules = { ...RULES, state, anyOwner: true };
    expect(await findings('gs://b/', serviceWith(upload), rules)).toMatchObject([{ kept: 'in use' }]);
    // Also where the service has no list of uploads.
    expect(await findings('gs://b/', serviceWith(), rules)).toMatchObject([{ kept: 'in use' }]);
    note.remove();
  });

  test('P9 L13 what another run took up in the meantime is left to it', async () => {
    const state = join(scratch(), 'state');
    writeDown(state, 'gs://b/f', 'h');
    const partial = async () => expect.unreachable();
    const [finding] = await findings('gs://b/', { ...serviceWith(), partial }, { ...RULES, state });
    const claimed = createRemoteJournals(state, () => undefined).claim(KEY);
    expect(claimed?.handle()).toBe('h');
    expect(await finding!.remove()).toBe('taken up');
    claimed?.remove();
  });

  test('P9 an upload that only its note tells of is dropped by what the note says', async () => {
    const state = join(scratch(), 'state');
    for (const name of ['dir/f', 'dirt', 'dir']) writeDown(state, `gs://b/${name}`, name);
    writeDown(state, 'gs://c/dir/f', 'another bucket');
    const dropped: string[] = [];
    const endpoint: Endpoint = {
      ...serviceWith(),
      partial: async (path, { key, handle }) => ({
        handle: handle ?? '',
        ranges: [],
        release: async (keep) => void dropped.push(`${path} ${handle} ${key === KEY} ${keep}`),
      }),
    };
    for (const finding of await findings('gs://b/dir', endpoint, { ...RULES, state }))
      expect(await finding.remove()).toBe(undefined);
    expect(dropped.sort()).toEqual(['/dir dir true false', '/dir/f dir/f true false']);
    const left = listRemoteJournals(state).map(({ destination }) => destination);
    expect(left.sort()).toEqual(['gs://b/dirt', 'gs://c/dir/f']);
  });

  test('P9 a note of what the service does not know goes, one of what we may not see stays', async () => {
    const state = join(scratch(), 'state');
    for (const [code, left] of [
      ['not-found', 0],
      ['permission-denied', 1],
    ] as const) {
      writeDown(state, 'gs://b/f', 'h');
      const partial = async () => {
        throw new TransferError(code, code);
      };
      const [finding] = await findings('gs://b/', { ...serviceWith(), partial }, { ...RULES, state });
      await finding!.remove().catch((error: unknown) => expect(error).toMatchObject({ code }));
      expect(listRemoteJournals(state)).toHaveLength(left);
    }
  });
});

test('L13 a name tells whether its writer is a live process of this machine', () => {
  const name = partialName(KEY, newNonce());
  expect(keyOfPartial(name)).toBe(KEY);
  expect(nonceLives(nonceOf(name)!)).toBe(true);
  expect(nonceLives('0'.repeat(16))).toBe(false);
});
