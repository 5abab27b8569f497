import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runAll, scratch, transferOf } from '../faults/scene.ts';
import { type Script, scriptedFtp } from './scripted.ts';

const CONTENT = randomBytes(5000);
const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

/** A server that keeps what `spoil` makes of the content it gets, and tells the digest of that. */
async function upload(script: Script, more: { readonly expected?: boolean; readonly spoil?: boolean } = {}) {
  const { expected = true, spoil = false } = more;
  const directory = scratch();
  writeFileSync(join(directory, 'from'), CONTENT);
  const told = (path: string) => {
    const content = server.files.get(path) ?? Buffer.alloc(0);
    return sha256(spoil ? content.subarray(1) : content);
  };
  const server = await scriptedFtp({
    answers: {
      OPTS: ({ say }) => say('200 set'),
      HASH: ({ say }, path) => say(`213 SHA-256 0-1 ${told(path)} ${path}`),
      XSHA256: ({ say }, path) => say(`250 ${told(path)}`),
      ...script.answers,
    },
    features: ['EPSV', 'SIZE', ...(script.features ?? [])],
  });
  const request = transferOf(join(directory, 'from'), `${server.url}/to`, {
    expected: expected ? [{ algorithm: 'sha256', value: sha256(CONTENT) }] : [],
  });
  return { server, ...(await runAll([request], { options: { attempts: 1 } })) };
}

describe('an upload whose digest is known', () => {
  test.each([
    ['HASH', 'HASH SHA-1;SHA-256*;MD5'],
    ['XSHA256', 'XSHA256'],
  ])('is compared by %s before it is visible', async (command, feature) => {
    const { server, outcome } = await upload({ features: [feature] });
    expect(outcome).toMatchObject({
      status: 'done',
      destinationVerification: { grade: 'end-to-end', algorithm: 'sha256', by: 'service' },
    });
    const names = server.commands.map((line) => line.split(' ')[0]);
    expect(names.indexOf(command)).toBeGreaterThan(names.indexOf('STOR'));
    expect(names.indexOf(command)).toBeLessThan(names.indexOf('RNFR'));
  });

  test.each(['HASH SHA-256', 'XSHA256'])(
    'P1 F26 that the server has otherwise is never visible: %s',
    async (feature) => {
      const { server, outcome } = await upload({ features: [feature] }, { spoil: true });
      expect(outcome.failure).toMatchObject({ code: 'digest-mismatch' });
      expect([...server.files.keys()]).toEqual([]);
      expect(server.commands.some((line) => line.startsWith('RNTO'))).toBe(false);
    },
  );

  test('of a server that offers it and refuses goes on without', async () => {
    const answers: Script['answers'] = { HASH: ({ say }) => say('550 not today') };
    const { outcome } = await upload({ features: ['HASH SHA-256'], answers });
    expect(outcome.status).toBe('done');
  });
});

test('without a known digest the server does not read the file once more', async () => {
  const { server, outcome } = await upload({ features: ['HASH SHA-256', 'XSHA256'] }, { expected: false });
  expect(outcome.status).toBe('done');
  expect(server.commands.some((line) => /HASH|XSHA/.test(line) && !line.startsWith('OPTS'))).toBe(false);
});
