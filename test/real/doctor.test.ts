import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bridle, scratch } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const NAMES = Object.keys(PLACES);
const places = new Map<string, MatrixPlace>();

beforeAll(async () => {
  await Promise.all(NAMES.map(async (name) => places.set(name, await PLACES[name]!())));
});
afterAll(async () => {
  await Promise.all([...places.values()].map((place) => place.stop()));
});

test.each(NAMES)('P10 doctor tells what %s can do, and shows no secret', async (name) => {
  const place = places.get(name)!;
  await place.put('patient', Buffer.from('ten bytes!'));
  const env = place.env ?? {};
  const { status, stdout, stderr } = await bridle(['doctor', '--ca', CA, place.url('patient')], {
    cwd: scratch(),
    env,
  });
  // What doctor finds wrong is marked: it is shown here when the status is not the expected one.
  const wrong = stdout.split('\n').filter((line) => line.startsWith('!'));
  expect({ status, stderr, wrong }).toEqual({ status: 0, stderr: '', wrong: [] });
  expect(stdout).toMatch(/there +file, 10 bytes/);
  expect(stdout).toMatch(/ranges +yes/);
  for (const secret of [
    new URL(place.url('x').replace(/^\w+:/, 'http:')).password,
    env.AWS_SECRET_ACCESS_KEY,
  ])
    if (secret) expect(stdout).not.toContain(secret);
  const absent = await bridle(['doctor', '--ca', CA, place.url('absent')], { cwd: scratch(), env });
  expect(absent.status).toBe(1);
  expect(absent.stdout).toContain('(not-found)');
});
