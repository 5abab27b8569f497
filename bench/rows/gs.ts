import { join } from 'node:path';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { makeFile } from '../inputs.ts';
import type { Contender, Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';

const GIB = 1024 ** 3;
const BUCKET = 'bench';
/** Components on their way at a time. */
const PARALLEL = 4;
/** Milliseconds that a piece is held back: 64 KiB in that time is what one connection then reaches. */
const HELD = 2;

export const gsUp: Row = {
  name: 'gs-up',
  title: 'one file of 1 GiB to the emulator of Cloud Storage, in one stream and by components',
  prepare: (stage) => prepare(stage, false),
};

export const gsUpFar: Row = {
  name: 'gs-up-far',
  title: 'the same where each connection is slow',
  prepare: (stage) => prepare(stage, true),
};

/** Nothing is held to a bar: the emulator, one process of node, is the slower side. */
async function prepare(stage: Stage, isFar: boolean): Promise<Contest> {
  const size = stage.quick || isFar ? (GIB * 3) / 8 : GIB;
  const { origin, pid } = await stage.server('gcs');
  const response = await fetch(`${origin}/storage/v1/b?project=bench`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: BUCKET }),
  });
  if (!response.ok) throw new Error(`making the bucket: HTTP ${response.status}`);
  const from = await stage.folder('here');
  const file = await makeFile(from, 'big.bin', size);
  let host = origin;
  if (isFar) {
    const rules = [{ delay: HELD, times: Number.POSITIVE_INFINITY }];
    const proxy = await stage.uses(async () => {
      const started = await startFaultProxy({ port: Number(new URL(origin).port) }, rules);
      return { ...started, stop: started.close };
    });
    host = `http://127.0.0.1:${proxy.port}`;
  }
  const contender = (name: string, more: readonly string[]): Contender => ({
    name,
    words: [
      ...['env', `STORAGE_EMULATOR_HOST=${host}`, ...more, stage.bridle, 'cp', '--quiet'],
      ...[join(from, file.name), `gs://${BUCKET}/${file.name}`],
    ],
  });
  return {
    contenders: [
      contender('bridle', []),
      contender(`bridle, ${PARALLEL} components`, [`BRIDLE_GS_PARALLEL=${PARALLEL}`]),
    ],
    bars: [],
    moves: { count: Math.round(size / 1e6), unit: 'MB' },
    servers: [pid],
  };
}
