import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { archiveName, formatReference, parseReference } from '../../src/image/reference.ts';

const HEX = 'a'.repeat(64);

describe('the name of an image', () => {
  test.each([
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['rynge/montage', 'docker.io/rynge/montage:latest'],
    ['docker:///rynge/montage:latest', 'docker.io/rynge/montage:latest'],
    ['docker:/rynge/montage:latest', 'docker.io/rynge/montage:latest'],
    ['docker://alpine', 'docker.io/library/alpine:latest'],
    ['oci://quay.io/a/b/c:Tag', 'quay.io/a/b/c:Tag'],
    ['index.docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['registry-1.docker.io/rynge/montage', 'docker.io/rynge/montage:latest'],
    ['localhost/a', 'localhost/a:latest'],
    ['localhost:5000/a:1', 'localhost:5000/a:1'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    ['HOST.example.ORG/a', 'host.example.org/a:latest'],
    [`alpine@sha256:${HEX}`, `docker.io/library/alpine@sha256:${HEX}`],
    [`alpine:3.20@sha256:${HEX.toUpperCase()}`, `docker.io/library/alpine:3.20@sha256:${HEX}`],
  ])('`%s` is `%s`', (text, whole) => {
    expect(formatReference(parseReference(text))).toBe(whole);
  });

  test.each([
    ['', 'expected the name of a repository, got none'],
    ['docker://', 'expected the name of a repository, got none'],
    ['Alpine', 'expected a repository in lower case, got `library/Alpine`'],
    ['a//b', 'expected a repository such as `name/of/it`, got `a//b`'],
    ['../etc', 'expected a registry such as `host` or `host:5000`, got `..`'],
    ['host.org:99999/a', 'expected a registry such as `host` or `host:5000`, got `host.org:99999`'],
    ['a:', 'expected a tag of up to 128'],
    ['a:b/c', 'expected a registry such as'],
    [`a:${'t'.repeat(129)}`, 'expected a tag of up to 128'],
    ['a@sha256:12', 'expected `sha256:` and 64 hexadecimal digits'],
    [`a@md5:${HEX}`, 'expected `sha256:` and 64 hexadecimal digits'],
    [`host.org/${'a/'.repeat(150)}b`, 'expected a name of at most 255 characters'],
  ])('`%s` is refused: %s', (text, problem) => {
    const refused = () => parseReference(text);
    expect(refused).toThrow(TransferError);
    expect(refused).toThrow(problem);
  });

  test('of an archive has a tag whatever the reference has, for an archive without one is loaded without a name', () => {
    expect(archiveName(parseReference('a/b:1'))).toBe('docker.io/a/b:1');
    expect(archiveName(parseReference(`a/b@sha256:${HEX}`))).toBe(`docker.io/a/b:sha256-${HEX}`);
    expect(archiveName(parseReference(`a/b:1@sha256:${HEX}`))).toBe('docker.io/a/b:1');
  });

  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
  const registry = fc.constantFrom(
    'quay.io',
    'localhost',
    'localhost:5000',
    '127.0.0.1:5000',
    'a-b.example.org:443',
  );
  const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/);
  const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);

  test('comes back as it was when it is written out and read again', () => {
    fc.assert(
      fc.property(
        registry,
        fc.array(part, { minLength: 1, maxLength: 4 }),
        fc.option(tag),
        fc.option(digest),
        (host, parts, tagged, pinned) => {
          const text = `${host}/${parts.join('/')}${tagged === null ? '' : `:${tagged}`}${pinned === null ? '' : `@${pinned}`}`;
          const once = parseReference(text);
          expect(parseReference(formatReference(once))).toEqual(once);
          expect(parseReference(`docker://${text}`)).toEqual(once);
          expect(once.repository).toBe(parts.join('/'));
          expect(once.digest).toBe(pinned ?? undefined);
        },
      ),
    );
  });

  test('is understood or refused by name, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z:@/.A-Z0-9_-]*$/)),
        (text) => {
          try {
            const once = parseReference(text);
            expect(parseReference(formatReference(once))).toEqual(once);
          } catch (error) {
            expect(error).toBeInstanceOf(TransferError);
            expect((error as TransferError).code).toBe('invalid-request');
          }
        },
      ),
    );
  });

  test('S5 given with a password in it is refused without showing it', () => {
    let message = '';
    try {
      parseReference('docker://user:s3cret@host.org/a b');
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('docker://***@');
    expect(message).not.toContain('s3cret');
  });
});
