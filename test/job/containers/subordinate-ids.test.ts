import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hasSubordinateIds } from '../../../src/job/containers/subordinate-ids.ts';
import { scratch } from '../../faults/scene.ts';

const UID = process.getuid?.() ?? 0;

function etcWith(files: Readonly<Record<string, string>>): string {
  const etc = join(scratch(), 'etc');
  mkdirSync(etc);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(etc, name), text);
  return etc;
}

test.each([
  { files: {}, has: false },
  { files: { subuid: `${UID}:100000:65536\n`, subgid: `${UID}:100000:65536\n` }, has: true },
  { files: { subuid: `${UID}:100000:65536\n` }, has: false },
  { files: { subuid: '77777:100000:65536\n', subgid: '77777:100000:65536\n' }, has: false },
  {
    files: {
      passwd: `a:x:77777:1::/:/bin/sh\njob:x:${UID}:1::/:/bin/sh\n`,
      subuid: 'a:1:1\njob:100000:65536\n',
      subgid: 'job:100000:65536\n',
    },
    has: true,
  },
  { files: { 'nsswitch.conf': 'passwd: files sss\nsubid: sss\n' }, has: true },
])('subordinate ids of $files: $has', ({ files, has }) => {
  expect(hasSubordinateIds(etcWith(files))).toBe(has);
});
