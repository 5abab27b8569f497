import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import type { Endpoint, WriteCall } from '../../src/protocol.ts';
import { memory } from './memory.ts';
import { closeDav, KEY, multistatus, never, scriptedDav, WRITE, XML } from './scripted.ts';

afterEach(closeDav);

const MIB = 1024 * 1024;
const PARTIAL = new RegExp(`^/d/bridle-${KEY}-[0-9a-f]{16}\\.part$`);

async function* chunksOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB);
}

function write(endpoint: Endpoint, content: Uint8Array, more: Partial<WriteCall> = {}) {
  return endpoint.write!('/d/f', chunksOf(content), { ...WRITE, size: content.length, ...more });
}

const small = Buffer.from('small');
const large = Buffer.alloc(3 * MIB, 'large');

describe('an upload', () => {
  test.each([small, large, Buffer.alloc(0)])(
    'P1 goes to a name of ours and is moved when it is whole (%#)',
    async (content) => {
      const { files, script } = memory();
      const { endpoint, asked } = await scriptedDav(script);
      const staged = await write(endpoint, content);
      expect([...files.keys()]).toEqual([expect.stringMatching(PARTIAL)]);
      expect(await staged.commit(never)).toMatchObject({ size: content.length });
      expect([...files.keys()]).toEqual(['/d/f']);
      expect(files.get('/d/f')?.equals(content)).toBe(true);
      expect(asked.at(-1)).toMatch(/^MOVE/);
    },
  );

  test.each([0, 5, MIB - 1])('of %d bytes whose size nobody knew has a length nevertheless', async (size) => {
    const lengths: (string | undefined)[] = [];
    const { files, script } = memory(({ method, request }) => {
      if (method === 'PUT') lengths.push(request.headers['content-length']);
    });
    const { endpoint } = await scriptedDav(script);
    await (await write(endpoint, Buffer.alloc(size), { size: undefined })).commit(never);
    expect(lengths).toEqual([String(size)]);
    expect(files.get('/d/f')).toHaveLength(size);
  });

  test('announces a large body and waits for leave to send it', async () => {
    const expectations: (string | undefined)[] = [];
    const { script } = memory(({ method, request }) => {
      if (method === 'PUT') expectations.push(request.headers.expect);
    });
    const { endpoint } = await scriptedDav(script);
    for (const content of [small, large]) await (await write(endpoint, content)).abort();
    expect(expectations).toEqual([undefined, '100-continue']);
  });

  test.each([
    ['that is small', small],
    ['that is large', large],
  ])(
    'P1 F23 %s and refused with 507 after its last byte is `no-space`, and nothing is moved',
    async (_, content) => {
      const { files, script } = memory(async (visit) => {
        if (visit.method !== 'PUT') return false;
        if (visit.request.headers.expect !== undefined) visit.response.writeContinue();
        await visit.body();
        visit.answer(507);
        return true;
      });
      const { endpoint, asked } = await scriptedDav(script);
      await expect(write(endpoint, content)).rejects.toMatchObject({ code: 'no-space' });
      expect(files.size).toBe(0);
      expect(
        asked.filter((line) => /^(PUT|MOVE|DELETE)/.test(line)).map((line) => line.split(' ')[0]),
      ).toEqual(['PUT', 'DELETE']);
    },
  );

  test('F23 that is refused with 507 in its middle is `no-space`, without the rest', async () => {
    let received = 0;
    const { script } = memory((visit) => {
      if (visit.method !== 'PUT') return false;
      visit.response.writeContinue();
      visit.request.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (!visit.response.headersSent) visit.answer(507);
      });
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    const huge = Buffer.alloc(64 * MIB);
    await expect(write(endpoint, huge)).rejects.toMatchObject({ code: 'no-space' });
    expect(received).toBeLessThan(huge.length);
  });

  test('F23 that is refused with 413 before its body costs no body', async () => {
    const { script } = memory(({ method, answer }) => {
      if (method !== 'PUT') return false;
      answer(413, '', { connection: 'close' });
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    let read = 0;
    async function* bytes() {
      for (; read < 3; read++) yield Buffer.alloc(MIB);
    }
    const writing = endpoint.write!('/d/f', bytes(), { ...WRITE, size: 3 * MIB });
    await expect(writing).rejects.toMatchObject({ code: 'no-space' });
    expect(read).toBe(0);
  });

  test.each([small, large])('P7 that is never answered ends, and not with success (%#)', async (content) => {
    const { files, script } = memory(async (visit) => {
      if (visit.method !== 'PUT') return false;
      if (visit.request.headers.expect !== undefined) visit.response.writeContinue();
      await visit.body();
      return true;
    });
    const { endpoint } = await scriptedDav(script, { http: { timeouts: { firstByte: 0.2 } } });
    const once: Pick<WriteCall, 'retry'> = { retry: (unit) => unit(never) };
    await expect(write(endpoint, content, once)).rejects.toMatchObject({ code: 'timed-out' });
    expect(files.size).toBe(0);
  });

  test('P2 of which the server keeps less than was sent is `size-mismatch`, before anybody sees it', async () => {
    const { files, script } = memory(async (visit, stored) => {
      if (visit.method !== 'PUT') return false;
      stored.set(visit.path, (await visit.body()).subarray(1));
      visit.answer(201);
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await expect(write(endpoint, small)).rejects.toMatchObject({ code: 'size-mismatch' });
    expect(files.size).toBe(0);
  });

  test('P2 that the server calls done before it had it all is no success', async () => {
    const { script } = memory(({ method, answer }) => {
      if (method !== 'PUT') return false;
      answer(201);
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await expect(write(endpoint, large)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('tells the server of the ownCloud family the checksum, and believes its refusal', async () => {
    const sent: (string | string[] | undefined)[] = [];
    const { script } = memory(async (visit) => {
      if (visit.method !== 'PUT') return false;
      sent.push(visit.request.headers['oc-checksum'], visit.request.headers['x-oc-mtime']);
      await visit.body();
      visit.answer(
        400,
        '<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:message>The computed checksum does not match the one received from the client.</s:message></d:error>',
        XML,
      );
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    const value = createHash('sha1').update('other').digest('hex');
    const writing = write(endpoint, small, {
      expected: [{ algorithm: 'sha1', value }],
      modified: new Date(1_500_000_000_999),
      retry: (unit) => unit(never),
    });
    await expect(writing).rejects.toMatchObject({
      code: 'digest-mismatch',
      message: expect.stringContaining('does not match'),
    });
    expect(sent).toEqual([`SHA1:${value}`, '1500000000']);
  });

  test('F22 whose MOVE was done and its answer lost is a success', async () => {
    let lost = 0;
    const { files, script } = memory((visit, stored) => {
      if (visit.method !== 'MOVE' || lost++ > 0) return false;
      stored.set('/d/f', stored.get(visit.path)!);
      stored.delete(visit.path);
      visit.response.destroy();
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await (await write(endpoint, small)).commit(never);
    expect([...files]).toEqual([['/d/f', small]]);
  });

  test('F22 whose MOVE was lost before it was done is moved again', async () => {
    let lost = 0;
    const { files, script } = memory(({ method, response }) => {
      if (method !== 'MOVE' || lost++ > 0) return false;
      response.destroy();
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await (await write(endpoint, small)).commit(never);
    expect([...files]).toEqual([['/d/f', small]]);
  });

  test('P2 F22 whose partial is gone and whose place another file has is no success', async () => {
    let lost = 0;
    const { files, script } = memory(({ method, path, response }, stored) => {
      // The second one finds no partial, and is told so.
      if (method !== 'MOVE' || lost++ > 0) return false;
      stored.delete(path);
      stored.set('/d/f', Buffer.from('of somebody else'));
      response.destroy();
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await expect((await write(endpoint, small)).commit(never)).rejects.toMatchObject({ code: 'not-found' });
    expect(String(files.get('/d/f'))).toBe('of somebody else');
  });

  test.each([423, 503])('F11 whose MOVE is refused with %d for a moment is moved then', async (status) => {
    let refused = 0;
    const { files, script } = memory(({ method, answer }) => {
      if (method !== 'MOVE' || refused++ > 0) return false;
      answer(status);
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    await (await write(endpoint, small)).commit(never);
    expect([...files]).toEqual([['/d/f', small]]);
  });

  test('P9 whose MOVE is refused for good leaves no partial', async () => {
    const { files, script } = memory(({ method, answer }) => {
      if (method !== 'MOVE') return false;
      answer(403);
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    const staged = await write(endpoint, small);
    await expect(staged.commit(never)).rejects.toMatchObject({ code: 'permission-denied' });
    expect(files.size).toBe(0);
  });

  test('P1 whose MOVE was done in part only is a failure that names the reason', async () => {
    const { script } = memory(({ method, answer }) => {
      if (method !== 'MOVE') return false;
      answer(
        207,
        '<D:multistatus xmlns:D="DAV:"><D:response><D:href>/d/f</D:href><D:status>HTTP/1.1 423 Locked</D:status></D:response></D:multistatus>',
        XML,
      );
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    const staged = await write(endpoint, small);
    await expect(staged.commit(never)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/in part only, not `\/d\/f`: locked/),
    });
  });

  test('that was refused for want of a directory, which another upload made meanwhile, is sent again', async () => {
    let refused = 0;
    const { files, script } = memory(({ method, answer }) => {
      if (method !== 'PUT' || refused++ > 0) return false;
      answer(409);
      return true;
    });
    const { endpoint } = await scriptedDav(script);
    for (const content of [small, large]) {
      refused = 0;
      await (await write(endpoint, content)).commit(never);
      expect(files.get('/d/f')).toHaveLength(content.length);
    }
  });

  test('P6 that is refused with 409 again and again is a failure at once', async () => {
    const { script } = memory(({ method, answer }) => {
      if (method !== 'PUT') return false;
      answer(409);
      return true;
    });
    const { endpoint, asked } = await scriptedDav(script);
    await expect(write(endpoint, small)).rejects.toMatchObject({ code: 'unexpected' });
    expect(asked.filter((line) => line.startsWith('PUT'))).toHaveLength(2);
  });

  test('L4 never takes the place of a directory, which the server would delete with all its members', async () => {
    const { files, script } = memory(({ method, path, request, answer }, stored) => {
      if (method === 'MOVE' && request.headers.overwrite === 'F') answer(412);
      else if (method === 'PROPFIND' && path === '/d/f') answer(207, multistatus(['/d/f/']), XML);
      else if (method === 'MOVE') stored.clear();
      else return false;
      return true;
    });
    files.set('/d/f/precious', small);
    const { endpoint } = await scriptedDav(script);
    const staged = await write(endpoint, small);
    await expect(staged.commit(never)).rejects.toMatchObject({ code: 'invalid-request' });
    expect([...files.keys()]).toEqual(['/d/f/precious']);
  });

  test('to a path that ends in a slash is refused before anything is asked', async () => {
    const { endpoint, asked } = await scriptedDav(memory().script);
    const writing = endpoint.write!('/d/', chunksOf(small), { ...WRITE, size: 5 });
    await expect(writing).rejects.toMatchObject({ code: 'invalid-request' });
    expect(asked).toEqual([]);
  });
});

describe('a download', () => {
  const answering = (
    head: Readonly<Record<string, string | number>>,
    body: string,
    then: 'silence' | 'cut' | 'end',
  ) =>
    scriptedDav(
      ({ response }) => {
        response.writeHead(200, head);
        response.write(body);
        if (then === 'cut') setImmediate(() => response.destroy());
        if (then === 'end') response.end();
      },
      { http: { timeouts: { stall: 0.3 } } },
    );
  const collect = async ({ endpoint }: { readonly endpoint: Endpoint }) => {
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of (await endpoint.read('/f', { signal: never })).bytes) chunks.push(chunk);
    } catch (error) {
      return { text: Buffer.concat(chunks).toString(), code: (error as TransferError).code };
    }
    return { text: Buffer.concat(chunks).toString(), code: 'done' };
  };

  test('F1 whose body is cut ends with what came and an error, and does not hang', async () => {
    const dav = await answering({ 'content-length': 10 }, 'begin', 'cut');
    expect(await collect(dav)).toEqual({ text: 'begin', code: 'unavailable' });
  });

  test('F4 P7 from a server that falls silent is `stalled`', async () => {
    const dav = await answering({ 'content-length': 10 }, 'begin', 'silence');
    expect(await collect(dav)).toEqual({ text: 'begin', code: 'stalled' });
  });

  test('of no bytes is a file of no bytes', async () => {
    const dav = await answering({ 'content-length': 0 }, '', 'end');
    expect(await collect(dav)).toEqual({ text: '', code: 'done' });
  });

  test('P4 of a version asks for it by If-Match, and 412 is `changed` before any byte', async () => {
    const fields: (string | undefined)[] = [];
    const { endpoint } = await scriptedDav(({ request, answer }) => {
      fields.push(request.headers['if-match'], request.headers['if-unmodified-since']);
      answer(412);
    });
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    for (const version of ['etag "a"', `modified ${date}`]) {
      const reading = endpoint.read('/f', { signal: never, version, range: { start: 3 } });
      await expect(reading).rejects.toMatchObject({ code: 'changed' });
    }
    expect(fields).toEqual(['"a"', undefined, undefined, date]);
  });

  test('L6 of a directory that the server shows as a page is refused', async () => {
    const { endpoint } = await scriptedDav(({ path, answer }) => {
      if (path.endsWith('/')) answer(200, '<html>Index of</html>');
      else answer(301, '', { location: `${path}/` });
    });
    for (const path of ['/dir', '/dir/']) {
      await expect(endpoint.read(path, { signal: never })).rejects.toMatchObject({ code: 'invalid-request' });
    }
  });
});

describe('a removal', () => {
  test('of a tree that was done in part says what stays and why', async () => {
    const { endpoint } = await scriptedDav(async ({ method, body, answer }) => {
      await body();
      if (method === 'PROPFIND') return answer(207, multistatus(['/t/']), XML);
      const failed = ['/t/a', '/t/b', '/t/c', '/t/d'].map(
        (href) =>
          `<D:response><D:href>${href}</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>`,
      );
      const dependent =
        '<D:response><D:href>/t/</D:href><D:status>HTTP/1.1 424 Failed Dependency</D:status></D:response>';
      answer(207, `<D:multistatus xmlns:D="DAV:">${dependent}${failed.join('')}</D:multistatus>`, XML);
    });
    await expect(endpoint.remove!('/t', { signal: never, recursive: true })).rejects.toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining('not `/t/a`, `/t/b`, `/t/c` and 1 more'),
    });
  });

  test('of a directory that is not empty takes nothing with it when that was not asked', async () => {
    const { endpoint, asked } = await scriptedDav(async ({ request, body, answer }) => {
      await body();
      const members = request.headers.depth === '1' ? ([['/t/f', 1]] as const) : [];
      answer(207, multistatus(['/t/'], ...members), XML);
    });
    await expect(endpoint.remove!('/t', { signal: never })).rejects.toMatchObject({ code: 'already-exists' });
    expect(asked.filter((line) => line.startsWith('DELETE'))).toEqual([]);
  });
});

describe('mkdir', () => {
  test('begins at the leaf and goes up only as far as something is missing', async () => {
    const there = new Set(['/', '/open/']);
    const { endpoint, asked } = await scriptedDav(async ({ method, path, body, answer }) => {
      await body();
      const parent = path.replace(/[^/]*\/$/, '');
      if (method === 'PROPFIND')
        answer(there.has(`${path.replace(/\/$/, '')}/`) ? 207 : 404, multistatus([path]), XML);
      else if (path === '/' || path === '/open/') answer(403);
      else if (there.has(path)) answer(405);
      else if (!there.has(parent)) answer(409);
      else {
        there.add(path);
        answer(201);
      }
    });
    await endpoint.mkdir!('/open/a/b', { signal: never });
    expect(asked.filter((line) => line.startsWith('MKCOL'))).toEqual([
      'MKCOL /open/a/b/',
      'MKCOL /open/a/',
      'MKCOL /open/a/b/',
    ]);
    await endpoint.mkdir!('/open/', { signal: never });
  });

  test('F22 whose answer was lost is a success when it is asked again', async () => {
    const { endpoint } = await scriptedDav(async ({ method, body, answer }) => {
      await body();
      if (method === 'PROPFIND') answer(207, multistatus(['/d/']), XML);
      else answer(405);
    });
    await endpoint.mkdir!('/d', { signal: never });
  });
});
