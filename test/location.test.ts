import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../src/errors.ts';
import { formatLocation, hostKey, type Location, type ParsedUrl, parseUrl } from '../src/location.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
console.info(`location seed ${seed}`);

const env = { BASE: '/base', AB: 'ab', COLON: 'a:b' };

function parse(text: string): ParsedUrl {
  return parseUrl(text, { env, collapseSlashes: true, site: 'x' });
}

function locate(text: string): Location {
  return parse(text).location;
}

function messageOf(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof TransferError) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('local URLs', () => {
  test.each([
    ['/data/in.dat', 'file', '/data/in.dat'],
    ['in.dat', 'file', 'in.dat'],
    ['file:/data/in.dat', 'file', '/data/in.dat'],
    ['file:///data/in.dat', 'file', '/data/in.dat'],
    ['file://localhost/data/in.dat', 'file', '/data/in.dat'],
    ['file://other/data/in.dat', 'file', 'other/data/in.dat'],
    ['file:///data//in.dat', 'file', '/data//in.dat'],
    ['symlink:///data/in.dat', 'symlink', '/data/in.dat'],
    ['moveto:///data/in.dat', 'moveto', '/data/in.dat'],
  ])('%s is %s %s', (text, scheme, path) => {
    expect(locate(text)).toEqual({ scheme, authority: '', path, site: 'x' });
  });

  test.each([
    ['file://$BASE/in.dat', '/base/in.dat'],
    [`file://\${BASE}/in.dat`, '/base/in.dat'],
    ['$BASE/in.dat', '/base/in.dat'],
    ['symlink://$BASE/in.dat', '/base/in.dat'],
    ['file:///$COLON', '/a:b'],
    ['file:///x$UNDEFINED_NAME/y', '/x/y'],
    ['file:///$constructor/y', '//y'],
    ['file:///$X/$_AB', '/$X/$_AB'],
    [`file:///\${X}/\${_AB}`, `/\${X}/\${_AB}`],
  ])('variables in %s give %s', (text, path) => {
    expect(locate(text).path).toBe(path);
  });

  test.each(['a b', 'a"b\'c', 'a\nb', 'a#b', 'a%2Fb', 'a?b', '🧬', 'é', 'x'.repeat(255), '-rf', '../x'])(
    'L14 the name %j is kept as it is',
    (name) => {
      expect(locate(`file:///d/${name}`).path).toBe(`/d/${name}`);
    },
  );
});

describe('remote URLs', () => {
  test('variables are not expanded', () => {
    expect(locate('https://host/$BASE').path).toBe('/$BASE');
  });

  test('runs of slashes in the path become one, those of the query stay', () => {
    const location = locate('https://host//a///b?u=http://c');
    expect(location.path).toBe('/a/b');
    expect(location.query).toBe('u=http://c');
  });

  test('L14 percent sequences stay and what a request line cannot carry is encoded', () => {
    expect(locate('https://host/a%2Fb c/é🧬').path).toBe('/a%2Fb%20c/%C3%A9%F0%9F%A7%AC');
    expect(locate('https://host/a?b c').query).toBe('b%20c');
  });

  test.each(['scp://host/a?b#c%20d e', 's3://me@site/bucket/a?b#c', 'gs://bucket/a#b?c'])(
    'L14 the name in %s is plain',
    (text) => {
      const location = locate(text);
      expect(location.query).toBeUndefined();
      expect(location.path).toBe(text.slice(text.indexOf('/', text.indexOf('://') + 3)));
    },
  );

  test.each([
    ['docker://ubuntu:22.04', 'ubuntu:22.04', ''],
    ['docker://quay.io:5000/group/Image:Tag', 'quay.io:5000', '/group/Image:Tag'],
    [`docker://ubuntu@sha256:${'a'.repeat(64)}`, `ubuntu@sha256:${'a'.repeat(64)}`, ''],
    ['library://lab/collection/image:1', 'lab', '/collection/image:1'],
  ])('the image reference %s is kept', (text, authority, path) => {
    expect(locate(text)).toEqual({ scheme: text.split(':')[0], authority, path, site: 'x' });
    expect(formatLocation(locate(text))).toBe(text);
  });

  test.each(['osdf:///ospool/in.dat', 'go://user#endpoint/in.dat', 'carrier-pigeon://loft/in.dat'])(
    'B2 the unknown scheme of %s is no error',
    (text) => {
      expect(formatLocation(locate(text))).toBe(text);
    },
  );

  test.each([
    ['https:///a', 'expected a host'],
    ['https://:80/a', 'expected a host'],
    ['https://ho st/a', 'expected a host'],
    ['https://$(id)/a', 'expected a host'],
    ['scp://-oProxyCommand=x/a', 'expected a host'],
    ['scp://-x/a', 'starts with a dash'],
    ['docker://-v/a', 'name of an image'],
    ['docker://', 'name of an image'],
    ['https://host:0/a', 'port from 1 to 65535'],
    ['https://host:99999/a', 'port from 1 to 65535'],
    ['https://host:/a', 'port from 1 to 65535'],
    ['https://host/a\r\nX: y', 'control characters'],
    ['https://host/a?b\r\nX: y', 'control characters'],
    ['https://host/a#b', 'without a fragment'],
    ['12:30', 'expected a URL such as'],
    ['file://', 'expected a path'],
    ['docker:////', 'expected the name of an image'],
    ['file:///a\0b', 'NUL'],
    ['file:///\ud800', 'surrogate'],
  ])('B2 %j is refused: %s', (text, part) => {
    expect(messageOf(text)).toContain(part);
  });

  test('limits count image hosts and schemes without a host apart from local files', () => {
    expect(hostKey(locate('file:///a'))).toBe('local');
    expect(hostKey(locate('osdf:///a'))).toBe('osdf://');
    expect(hostKey(locate('https://Host:443/a'))).toBe('https://host:443');
  });
});

describe('secrets', () => {
  test('a user, a password and a signed query travel apart', () => {
    const { location, secret } = parse('https://me:p%40ss@host/a?X-Amz-Signature=1&b=2');
    expect(location).toEqual({ scheme: 'https', authority: 'host', path: '/a', site: 'x' });
    expect(secret).toEqual({ username: 'me', password: 'p@ss', query: 'X-Amz-Signature=1&b=2' });
  });

  test('P10 no message about a URL that does not parse repeats a password', () => {
    const shapes = [
      (p: string) => `https://me:${p}@`,
      (p: string) => `https://me:${p}@host:0/a`,
      (p: string) => `https:/me:${p}@host/a`,
      (p: string) => `https:me:${p}@host/a`,
      (p: string) => `https://me:${p}/x@host/a`,
      (p: string) => `https://me:/${p}@host/a`,
      (p: string) => `https://host/a\n?token=${p}`,
      (p: string) => `https://me:${p}@host/a#b`,
      (p: string) => `me:${p}@host:a`,
      (p: string) => `docker://me:${p}@-x/a`,
      (p: string) => `docker://me:${p}/@x/a`,
    ];
    for (const shape of shapes) expect(messageOf(shape('hunter2'))).not.toContain('hunter2');
  });

  test('a URL either parses to the same URL again or is refused by a TransferError', () => {
    const part = fc.oneof(
      fc.constantFrom('https', 'file', 's3', 'docker', ':', '//', '/', '@', '?', '#', '$AB', '[::1]', ' '),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const text = fc.array(part, { maxLength: 10 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (given) => {
        const message = messageOf(given);
        if (message !== 'accepted') return;
        const { location, secret } = parse(given);
        if (location.scheme === 'file' || secret) return;
        expect(parse(formatLocation(location)).location).toEqual(location);
      }),
      { seed, numRuns: 3000 },
    );
  });
});
