import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { type Misbehave, putImage } from '../../fixtures/misbehaving/registry.ts';
import type { Clock } from '../../src/clock.ts';
import { parseReference } from '../../src/image/reference.ts';
import { findPatiently } from '../../src/image/registry/find-patiently.ts';
import { makeClient, never } from '../http/scripted.ts';
import { closeScene, registry } from './scene.ts';

afterEach(closeScene);

/** The image of a registry that answers its first questions for the manifest otherwise; and what was waited and told. */
async function scene(...answers: readonly ((response: ServerResponse) => void)[]) {
  const ahead = [...answers];
  let asked = 0;
  const misbehave: Misbehave = ({ url }, response) => {
    if (!url.includes('/manifests/')) return false;
    asked += 1;
    const answer = ahead.shift();
    answer?.(response);
    return answer !== undefined;
  };
  const started = await registry(misbehave);
  const made = putImage(started, { repository: 'a/b', tag: '1' }, [Buffer.alloc(512)]);
  const waits: number[] = [];
  const warnings: string[] = [];
  const clock: Clock = {
    now: () => 0,
    epoch: () => 0,
    sleep: async (milliseconds) => void waits.push(milliseconds / 1000),
  };
  const finding = findPatiently(
    parseReference(`${started.authority}/a/b:1`),
    {
      http: makeClient(),
      settings: { insecure: [], mirrors: [] },
      secretsFor: async () => ({}),
      warn: (_, message) => warnings.push(message),
    },
    { platform: { os: 'linux', architecture: 'amd64' }, signal: never, clock, random: () => 1 },
  );
  const outcome = await finding.catch((error: unknown) => error);
  return { outcome, made, waits, warnings, asked: () => asked };
}

const refuse = (status: number, headers: Record<string, string> = {}) => {
  return (response: ServerResponse) => void response.writeHead(status, headers).end();
};
const hangUp = (response: ServerResponse) => void response.destroy();

describe('an image is looked for again', () => {
  test('F1 P4 after what may pass, with growing waits', async () => {
    const { outcome, made, waits, asked, warnings } = await scene(hangUp, refuse(503));
    expect(outcome).toMatchObject({ digest: made.digest });
    expect([asked(), waits, warnings]).toEqual([3, [1, 2], []]);
  });

  test('when a registry that takes no more says so, and that is told', async () => {
    const { outcome, made, waits, warnings } = await scene(refuse(429, { 'retry-after': '7' }));
    expect(outcome).toMatchObject({ digest: made.digest });
    expect(waits).toEqual([7]);
    expect(warnings).toEqual([expect.stringMatching(/takes no more for now .*: trying again in 7 s$/)]);
  });

  test('P6 not when that is hours away', async () => {
    const { outcome, waits, asked } = await scene(refuse(429, { 'retry-after': '21600' }));
    expect(outcome).toMatchObject({ code: 'rate-limited', retryAfter: 3600 });
    expect([asked(), waits]).toEqual([1, []]);
  });

  test('P6 four times at most, and not at all when it is not there', async () => {
    const busy = await scene(...Array.from({ length: 9 }, () => refuse(503)));
    expect(busy.outcome).toMatchObject({ code: 'unavailable' });
    expect([busy.asked(), busy.waits]).toEqual([4, [1, 2, 4]]);
    const missing = await scene(refuse(404));
    expect(missing.outcome).toMatchObject({ code: 'not-found' });
    expect([missing.asked(), missing.waits]).toEqual([1, []]);
  });
});
