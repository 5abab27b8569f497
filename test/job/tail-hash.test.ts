import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Followed, followOutputs } from '../../src/job/tail-hash.ts';

const MIB = 1024 * 1024;
const sha256 = (path: string) => createHash('sha256').update(fs.readFileSync(path)).digest('hex');

let directory: string;
let path: string;
let followed: Followed;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'bridle-tail-'));
  path = join(directory, 'out');
  followed = followOutputs([{ lfn: 'out', path }]);
});
afterEach(() => {
  followed.end();
  fs.rmSync(directory, { recursive: true });
});

const digest = () => followed.digestOf({ lfn: 'out', path })?.sha256;
/** Until what is written was read, as far as that can be seen from outside: its events were delivered. */
const turns = async () => {
  for (let at = 0; at < 200; at++) await new Promise((resolve) => setImmediate(resolve));
};

test('a file that grows has the digest of the whole', async () => {
  for (let at = 0; at < 5; at++) {
    fs.appendFileSync(path, Buffer.alloc(MIB * 0.7, at));
    await turns();
  }
  expect(digest()).toBe(sha256(path));
});

test('a file that nothing was seen of is read at the end', () => {
  fs.writeFileSync(path, 'late');
  expect(digest()).toBe(sha256(path));
});

test.each([0, 2 * MIB + 10])(
  'a file that is changed behind the reader, at %d, has no digest from it',
  async (place) => {
    fs.writeFileSync(path, Buffer.alloc(2 * MIB + 100, 1));
    await expect.poll(() => isRead(path), { timeout: 30_000 }).toBe(true);
    const fd = fs.openSync(path, 'r+');
    fs.writeSync(fd, 'changed', place);
    fs.closeSync(fd);
    expect(digest()).toBeUndefined();
  },
);

test('a file that is made anew under the name has no digest of the old one', async () => {
  fs.writeFileSync(path, 'old content');
  await expect.poll(() => isRead(path), { timeout: 30_000 }).toBe(true);
  fs.rmSync(path);
  fs.writeFileSync(path, 'new content');
  expect(digest()).toBeUndefined();
});

test('what is no file has no digest, and is not waited for', () => {
  fs.mkdirSync(path);
  expect(digest()).toBeUndefined();
});

/** Whether this process has read the file to its end: where it is in it, as the kernel knows. */
function isRead(file: string): boolean {
  return fs.readdirSync('/proc/self/fd').some((name) => {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${name}`) !== file) return false;
      const [, position] = /^pos:\s*(\d+)/.exec(fs.readFileSync(`/proc/self/fdinfo/${name}`, 'utf8')) ?? [];
      return Number(position) === fs.statSync(file).size;
    } catch {
      return false;
    }
  });
}
