import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DavResponse, readMultistatus } from '../../src/dav/multistatus.ts';
import { statOf } from '../../src/dav/propfind.ts';
import { TransferError } from '../../src/errors.ts';
import { multistatus } from './scripted.ts';

async function read(text: string, piece = 64 * 1024): Promise<DavResponse[]> {
  const bytes = Buffer.from(text);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
  }
  const all: DavResponse[] = [];
  for await (const each of readMultistatus(pieces(), 'list `x`')) all.push(each);
  return all;
}

const one = (prop: string, more = '') =>
  `<a:multistatus xmlns:a="DAV:"><a:response><a:href>/f</a:href><a:propstat><a:prop>${prop}</a:prop><a:status>HTTP/1.1 200 OK</a:status></a:propstat>${more}</a:response></a:multistatus>`;

describe('a multistatus', () => {
  test('is read whatever its prefixes are', async () => {
    const texts = [
      '<D:multistatus xmlns:D="DAV:"><D:response xmlns:lp1="DAV:"><D:href>/f</D:href><D:propstat><D:prop><lp1:getcontentlength>5</lp1:getcontentlength><lp1:resourcetype/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>',
      '<multistatus xmlns="DAV:"><response><href>/f</href><propstat><prop><getcontentlength>5</getcontentlength></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>',
      '<?xml version="1.0"?>\n<!-- a comment -->\n<x:multistatus xmlns:x="DAV:" xmlns:y="DAV:">\n <y:response>\n<x:href>/f</x:href><y:propstat><x:prop><y:getcontentlength> 5 </y:getcontentlength></x:prop></y:propstat></y:response>\n<x:responsedescription>done</x:responsedescription></x:multistatus>',
    ];
    for (const text of texts) {
      const [response] = await read(text);
      expect(response?.href).toBe('/f');
      expect(statOf(response!)).toMatchObject({ type: 'file', size: 5 });
    }
  });

  test('names in another namespace are other properties', async () => {
    const [response] = await read(
      one('<b:getcontentlength xmlns:b="urn:b">7</b:getcontentlength><getetag>"none"</getetag>'),
    );
    expect(statOf(response!)).toEqual({
      type: 'file',
      size: undefined,
      modified: undefined,
      version: undefined,
    });
  });

  test('properties that were not found do not count', async () => {
    const notFound =
      '<a:propstat><a:prop><a:getcontentlength>9</a:getcontentlength></a:prop><a:status>HTTP/1.1 404 Not Found</a:status></a:propstat>';
    const [response] = await read(one('<a:getetag>"e"</a:getetag>', notFound));
    expect(statOf(response!)).toMatchObject({ size: undefined, version: 'etag "e"' });
  });

  test.each([
    ['/a&amp;b&#x26;&#38;c', '/a&b&&c'],
    ['<![CDATA[/a&amp;b]]>', '/a&amp;b'],
    ['/caf%C3%A9', '/caf%C3%A9'],
    ['\n /spaced \n', '/spaced'],
  ])('L14 the href `%s` is `%s`', async (written, href) => {
    const [response] = await read(multistatus([written, 1]));
    expect(response?.href).toBe(href);
  });

  test('types, times, tags and checksums are facts about a file', async () => {
    const [response] = await read(
      one(
        `<a:resourcetype/><a:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</a:getlastmodified><a:getetag>W/"w"</a:getetag>
        <o:checksums xmlns:o="http://owncloud.org/ns"><o:checksum>SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709 ADLER32:1</o:checksum></o:checksums>
        <c:Checksums xmlns:c="http://www.dcache.org/2013/webdav">md5=1B2M2Y8AsgTpgAmY7PhCfg==</c:Checksums>`,
      ),
    );
    expect(statOf(response!)).toEqual({
      type: 'file',
      size: undefined,
      modified: new Date('1994-11-06T08:49:37Z'),
      // A weak tag does not tell two contents apart.
      version: undefined,
      digests: [
        { algorithm: 'md5', value: 'd41d8cd98f00b204e9800998ecf8427e' },
        { algorithm: 'sha1', value: 'da39a3ee5e6b4b0d3255bfef95601890afd80709' },
        { algorithm: 'adler32', value: '00000001' },
      ],
    });
    const [directory] = await read(
      one('<a:iscollection>1</a:iscollection><a:getcontentlength>4096</a:getcontentlength>'),
    );
    expect(statOf(directory!)).toMatchObject({ type: 'directory' });
    expect(statOf(directory!).size).toBeUndefined();
  });

  test('is the same in pieces of any size', async () => {
    const text = multistatus(['/ä', 1], ['/dir/'], ['/f&amp;g', 12]);
    const whole = await read(text);
    for (const piece of [1, 2, 3, 7, 64]) expect(await read(text, piece)).toEqual(whole);
  });

  test('of nothing is nothing', async () => {
    expect(await read('<D:multistatus xmlns:D="DAV:"/>')).toEqual([]);
    expect(await read('<D:multistatus xmlns:D="DAV:"></D:multistatus>')).toEqual([]);
  });

  test.each([
    ['declares entities', '<!DOCTYPE m [<!ENTITY a "aaaa">]><m:multistatus xmlns:m="DAV:"/>', 'unexpected'],
    ['is a page', '<html><body>Welcome to the hotel</body></html>', 'unexpected'],
    ['is empty', '', 'unexpected'],
    [
      'is no XML',
      '<D:multistatus xmlns:D="DAV:"><D:response><D:href>/f</D:hre></D:response></D:multistatus>',
      'unexpected',
    ],
    [
      'names nothing',
      '<D:multistatus xmlns:D="DAV:"><D:response></D:response></D:multistatus>',
      'unexpected',
    ],
    ['never begins', `${' '.repeat(70_000)}<D:multistatus xmlns:D="DAV:"/>`, 'unexpected'],
    [
      'has a response without end',
      `<D:multistatus xmlns:D="DAV:"><D:response><D:href>${'x'.repeat(1_100_000)}`,
      'unexpected',
    ],
    ['ends early (F1)', multistatus(['/a', 1], ['/b', 2]).slice(0, -20), 'unavailable'],
  ])('that %s is refused', async (_, text, code) => {
    await expect(read(text)).rejects.toMatchObject({ code });
  });

  test('that was damaged anywhere is read or refused, never worse', async () => {
    const text = Buffer.from(multistatus(['/a', 1], ['/b&amp;c', 2], ['/d/']));
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.nat(255), async (at, byte) => {
        const damaged = Buffer.from(text);
        damaged[at] = byte;
        try {
          await read(damaged.toString('latin1'));
        } catch (error) {
          expect(error).toBeInstanceOf(TransferError);
        }
      }),
      { seed: 20260101, numRuns: 300 },
    );
  });
});
