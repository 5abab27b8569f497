import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Misbehave, putImage } from '../../fixtures/misbehaving/registry.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { tarOf } from './busybox-image.ts';
import { closeScene, registry } from './scene.ts';

afterEach(closeScene);

const MIB = 1024 * 1024;
const LAYER = tarOf([{ name: 'data', content: randomBytes(24 * MIB) }]);

/** Breaks off the first answer of the layer after `bytes`, of which `spoil` makes others, and refuses the next ones. */
function breaking(bytes: number, spoil: (sent: Buffer) => void = () => undefined) {
  const state = {
    layer: Buffer.alloc(0) as Buffer,
    digest: '',
    refuses: true,
    ranges: [] as (string | undefined)[],
  };
  const misbehave: Misbehave = ({ url, range }, response) => {
    if (state.digest === '' || !url.endsWith(state.digest)) return false;
    state.ranges.push(range);
    if (state.ranges.length === 1) {
      const sent = Buffer.from(state.layer.subarray(0, bytes));
      spoil(sent);
      response.writeHead(200, { 'content-length': state.layer.length });
      response.write(sent, () => response.destroy());
      return true;
    }
    if (!state.refuses) return false;
    response.writeHead(503).end();
    return true;
  };
  return { state, misbehave };
}

async function interrupted(spoil?: (sent: Buffer) => void) {
  const { state, misbehave } = breaking(20 * MIB, spoil);
  const started = await registry(misbehave);
  const made = putImage(started, { repository: 'a/b', tag: '1' }, [LAYER]);
  state.digest = made.layers[0] ?? '';
  state.layer = started.blobs.get(state.digest) ?? Buffer.alloc(0);
  const cwd = scratch();
  const url = `docker://${started.authority}/a/b:1`;
  const first = await bridle(['cp', '-q', '--attempts', '1', url, 'a.tar'], { cwd });
  expect(first.status).not.toBe(0);
  expect(readdirSync(cwd)).not.toContain('a.tar');
  state.refuses = false;
  state.ranges.length = 1;
  const receipts = join(cwd, 'receipts');
  const second = await bridle(['cp', '--receipts', receipts, url, 'a.tar'], { cwd });
  const verified = await bridle(['image', 'verify', '-q', 'a.tar'], { cwd });
  return { second, verified, ranges: state.ranges, made, receipts, url, cwd };
}

describe('an image that is copied', () => {
  test('F2 P4 goes on in the middle of a layer, after another process, with what that left', async () => {
    const { second, verified, ranges } = await interrupted();
    expect(second).toMatchObject({ status: 0, stderr: expect.stringContaining('verified: 1 server') });
    expect(verified.status).toBe(0);
    expect(ranges).toHaveLength(2);
    const [, start = ''] = /^bytes=(\d+)-$/.exec(ranges[1] ?? '') ?? [];
    expect(Number(start)).toBeGreaterThanOrEqual(8 * MIB);
  });

  test('P1 S8 what an earlier process got of a layer is compared with its digest, too', async () => {
    const { second, verified, ranges } = await interrupted((sent) => {
      sent[3 * MIB] = (sent[3 * MIB] ?? 0) ^ 1;
    });
    expect(second.status).toBe(0);
    expect(verified.status).toBe(0);
    // The rest showed that it was wrong, and all of it came again.
    expect(ranges.slice(1)).toEqual([expect.stringMatching(/^bytes=/), undefined]);
  });

  test('P10 its receipt has the digest of the manifest, and its grade says how well it was compared', async () => {
    const { made, receipts, url, cwd } = await interrupted();
    const [line = ''] = readFileSync(receipts, 'utf8').split('\n');
    const value = made.digest.slice('sha256:'.length);
    expect(JSON.parse(line).verification.source).toEqual({
      algorithm: 'sha256',
      by: 'manifest',
      grade: 'server',
      value,
    });
    const pinned = await bridle(['cp', '--require', 'source=end-to-end', `${url}@${made.digest}`, 'b.tar'], {
      cwd,
    });
    expect(pinned.status).toBe(0);
    const unnamed = await bridle(['cp', '--require', 'source=end-to-end', url, 'c.tar'], { cwd });
    expect(unnamed).toMatchObject({ status: 1, stderr: expect.stringContaining('reaches grade `server`') });
  });
});
