import { afterEach, describe, expect, test } from 'vitest';
import type { Endpoint, PartialWrite, WriteCall } from '../../src/protocol.ts';
import { memory } from './memory.ts';
import { closeDav, type DavVisit, KEY, never, scriptedDav, WRITE } from './scripted.ts';

afterEach(closeDav);

const MIB = 1024 * 1024;
const content = Buffer.alloc(3 * MIB, 'what is sent, piece by piece. ');

type Store = (old: Buffer, start: number, came: Buffer) => Buffer;

/** Puts what came where it belongs, and leaves the rest. */
const inPlace: Store = (old, start, came) => {
  const file = Buffer.alloc(Math.max(old.length, start + came.length));
  old.copy(file);
  came.copy(file, start);
  return file;
};

/** A server that does with a ranged PUT what `store` says, or refuses it with a status. */
function ranged(store: Store | number, more: (visit: DavVisit) => unknown = () => undefined) {
  const puts: string[] = [];
  const { files, script } = memory(async (visit, stored) => {
    if (await more(visit)) return true;
    const field = visit.request.headers['content-range'];
    if (visit.method === 'PUT') puts.push(field ?? 'whole');
    const [, from] = /^bytes (\d+)-/.exec(field ?? '') ?? [];
    if (visit.method !== 'PUT' || from === undefined) return false;
    if (typeof store === 'number') {
      visit.answer(store);
      return true;
    }
    if (visit.request.headers.expect !== undefined) visit.response.writeContinue();
    const old = stored.get(visit.path) ?? Buffer.alloc(0);
    const start = Number(from);
    const came: Buffer[] = [];
    const keep = () => stored.set(visit.path, store(old, start, Buffer.concat(came)));
    try {
      for await (const chunk of visit.request) came.push(chunk as Buffer);
    } finally {
      keep();
    }
    visit.answer(204);
    return true;
  });
  return { files, script, puts };
}

async function* chunksOf(bytes: Uint8Array, breaksAt = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) {
    if (at >= breaksAt) throw new Error('broke off');
    yield bytes.subarray(at, at + MIB);
  }
}

function write(endpoint: Endpoint, bytes: AsyncIterable<Uint8Array>, more: Partial<WriteCall> = {}) {
  return endpoint.write!('/d/f', bytes, { ...WRITE, size: content.length, ...more });
}

/** The partial that a write to `/d/f` left, claimed up to `end`. */
async function claimed(endpoint: Endpoint, end = MIB): Promise<PartialWrite> {
  const claim = await endpoint.partial!('/d/f', { signal: never, key: KEY });
  expect(claim?.ranges[0]?.end).toBeGreaterThanOrEqual(end);
  return { ...claim!, ranges: [{ start: 0, end }] };
}

describe('an upload that a later try may go on with', () => {
  test('P4 goes to a server that stores ranges as a range behind its first bytes, and that is asked once', async () => {
    const { files, script, puts } = ranged(inPlace);
    const { endpoint } = await scriptedDav(script);
    const handles: string[] = [];
    const onPartial = (handle: string) => void handles.push(handle);
    for (const name of ['/d/f', '/d/g']) {
      const call = { ...WRITE, size: content.length, onPartial };
      await (await endpoint.write!(name, chunksOf(content), call)).commit(never);
      expect(files.get(name)?.equals(content)).toBe(true);
    }
    const last = content.length - 1;
    const rest = `bytes 64-${last}/${content.length}`;
    expect(puts).toEqual(['whole', `bytes 64-127/${content.length}`, rest, 'whole', rest]);
    expect(handles).toHaveLength(2);
  });

  test.each<[string, Store | number]>([
    ['refuses with 400', 400],
    ['refuses with 501', 501],
    ['keeps as the whole', (_old, _start, came) => came],
    ['appends', (old, _start, came) => Buffer.concat([old, came])],
    ['forgets', (old) => old],
    ['makes longer', (old, start, came) => Buffer.concat([inPlace(old, start, came), came])],
    ['puts where it does not belong', (old, start, came) => inPlace(old, start + 1, came)],
    [
      'puts in its place and clears what was there',
      (_old, start, came) => inPlace(Buffer.alloc(0), start, came),
    ],
  ])('P1 P4 goes whole to a server that %s what has a range, and is not kept', async (_, store) => {
    const { files, script, puts } = ranged(store);
    const { endpoint } = await scriptedDav(script);
    const onPartial = () => expect.fail('nothing can go on with it');
    await (await write(endpoint, chunksOf(content), { onPartial })).commit(never);
    expect(files.get('/d/f')?.equals(content)).toBe(true);
    expect(puts.at(-1)).toBe('whole');
    const broken = write(endpoint, chunksOf(content, 2 * MIB), { onPartial });
    await expect(broken).rejects.toThrow('broke off');
    expect([...files.keys()]).toEqual(['/d/f']);
    expect(await endpoint.partial!('/d/f', { signal: never, key: KEY })).toBeUndefined();
  });

  test('P4 that breaks off is kept, and gone on with in its place', async () => {
    const { files, script, puts } = ranged(inPlace);
    const { endpoint } = await scriptedDav(script);
    const onPartial = () => undefined;
    await expect(write(endpoint, chunksOf(content, 2 * MIB), { onPartial })).rejects.toThrow('broke off');
    expect(files.get('/d/f')).toBeUndefined();
    // The server has what came once it has seen the end of the connection.
    await expect.poll(() => [...files.values()][0]?.length).toBeGreaterThanOrEqual(MIB);
    const resume = await claimed(endpoint);
    const staged = await write(endpoint, chunksOf(content.subarray(MIB)), { onPartial, resume });
    await staged.commit(never);
    expect(files.get('/d/f')?.equals(content)).toBe(true);
    expect(puts.at(-1)).toBe(`bytes ${MIB}-${content.length - 1}/${content.length}`);
    expect([...files.keys()]).toEqual(['/d/f']);
  });

  test('P4 is asked of a server anew by the run that goes on, with bytes that are there already', async () => {
    const { files, script, puts } = ranged(inPlace);
    const first = await scriptedDav(script);
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    await (await write(first.endpoint, chunksOf(content), { onPartial })).abort({ keep: true });
    const { endpoint } = await scriptedDav(script);
    const claim = await endpoint.partial!('/d/f', { signal: never, key: KEY, handle });
    const resume = { ...claim!, ranges: [{ start: 0, end: MIB }] };
    puts.length = 0;
    await (await write(endpoint, chunksOf(content.subarray(MIB)), { onPartial, resume })).commit(never);
    expect(puts[0]).toBe(`bytes ${MIB - 64}-${MIB - 1}/${content.length}`);
    expect(files.get('/d/f')?.equals(content)).toBe(true);
  });

  test.each<[string, Store | number]>([
    ['refuses ranges by now', 501],
    ['keeps a range as the whole by now', (_old, _start, came) => came],
  ])('P1 P4 P9 to a server that %s begins anew, and the partial goes', async (_, store) => {
    let now: Store | number = inPlace;
    const { files, script } = ranged(
      (old, start, came) => (now as Store)(old, start, came),
      (visit) => {
        if (typeof now !== 'number' || visit.request.headers['content-range'] === undefined) return false;
        visit.answer(now);
        return true;
      },
    );
    const first = await scriptedDav(script);
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    await (await write(first.endpoint, chunksOf(content), { onPartial })).abort({ keep: true });
    now = store;
    const { endpoint } = await scriptedDav(script);
    const claim = await endpoint.partial!('/d/f', { signal: never, key: KEY, handle });
    const resume = { ...claim!, ranges: [{ start: 0, end: MIB }] };
    const rest = write(endpoint, chunksOf(content.subarray(MIB)), { onPartial, resume });
    await expect(rest).rejects.toMatchObject({ code: 'changed' });
    expect(files.size).toBe(0);
    await (await write(endpoint, chunksOf(content), { onPartial })).commit(never);
    expect(files.get('/d/f')?.equals(content)).toBe(true);
  });

  test('P1 P2 whose rest the server stored elsewhere than behind the old bytes never becomes visible', async () => {
    let isMean = false;
    // Of the right size, with zeros where the old bytes end.
    const { files, script } = ranged((old, start, came) => {
      const file = inPlace(old, start, came);
      return isMean ? file.fill(0, start - 8, start) : file;
    });
    const { endpoint } = await scriptedDav(script);
    const onPartial = () => undefined;
    await (await write(endpoint, chunksOf(content), { onPartial })).abort({ keep: true });
    const resume = await claimed(endpoint);
    isMean = true;
    const rest = write(endpoint, chunksOf(content.subarray(MIB)), { onPartial, resume });
    await expect(rest).rejects.toMatchObject({ code: 'changed' });
    expect(files.size).toBe(0);
  });

  test.each(['../../etc/passwd', 'f', `.bridle-${'0'.repeat(32)}-0123456789abcdef.part`])(
    'S3 is not looked for under the name %s that a journal gives',
    async (handle) => {
      const { script } = memory();
      const { endpoint, asked } = await scriptedDav(script);
      expect(await endpoint.partial!('/d/f', { signal: never, key: KEY, handle })).toBeUndefined();
      expect(asked).toEqual([]);
    },
  );

  test('sends no digest of the whole along with a part', async () => {
    const seen: (string | string[] | undefined)[] = [];
    const { script } = ranged(inPlace, ({ method, request }) => {
      if (method === 'PUT' && request.headers['content-range']) seen.push(request.headers['oc-checksum']);
    });
    const { endpoint } = await scriptedDav(script);
    const expected = [{ algorithm: 'sha256', value: '0'.repeat(64) }] as const;
    await (await write(endpoint, chunksOf(content), { onPartial: () => undefined, expected })).abort();
    expect(seen).toEqual([undefined, undefined]);
  });
});
