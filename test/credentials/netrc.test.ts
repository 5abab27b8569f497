import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findMachine, parseNetrc } from '../../src/credentials/netrc.ts';
import { TransferError } from '../../src/errors.ts';
import { everythingIn, FIXTURES, MARK } from './scratch.ts';

const parse = (text: string) => parseNetrc(text, 'reading `f`');
const https = (host: string) => ({ host, port: 443, scheme: 'https' });

describe('netrc', () => {
  test('machines, logins, quotes, macros, comments, ports and the default are read', async () => {
    const netrc = parse(await readFile(join(FIXTURES, 'good/netrc'), 'utf8'));
    expect(findMachine(netrc, https('data.example.org'))).toEqual({
      login: 'joe',
      password: 'with "quotes" and space',
    });
    expect(findMachine(netrc, { ...https('data.example.org'), login: 'ann' })?.password).toBe('ann-pw');
    expect(findMachine(netrc, { ...https('data.example.org'), login: 'eve' })).toBeUndefined();
    expect(findMachine(netrc, https('git.example.org'))).toEqual({ login: 'git', password: '#hash' });
    expect(findMachine(netrc, https('evil.example.org'))).toBeUndefined();
    expect(findMachine(netrc, https('2001:db8::1'))?.password).toBe('6');
    expect(netrc.fallback).toEqual({ login: 'anonymous', password: 'joe@' });
  });

  test('an entry for another port is not for this one', async () => {
    const netrc = parse(
      'machine h port imap password a machine h port 8443 password b machine h port https password c',
    );
    expect(findMachine(netrc, https('h'))?.password).toBe('c');
    expect(findMachine(netrc, { ...https('h'), port: 8443 })?.password).toBe('b');
    expect(findMachine(netrc, { host: 'h', port: 80, scheme: 'http' })).toBeUndefined();
  });

  test('a macro ends at an empty line or at the end of the file', () => {
    expect(parse('macdef m\r\nmachine a\r\n\r\nmachine b login x').machines.has('a')).toBe(false);
    expect(parse('macdef m\r\nmachine a\r\n\r\nmachine b login x').machines.has('b')).toBe(true);
    expect(parse('macdef\nmachine a\n\nmachine b').machines.has('a')).toBe(false);
    expect(parse('macdef m\nmachine a').machines.size).toBe(0);
  });

  test('a keyword after a keyword is its value', () => {
    expect(findMachine(parse('machine machine login password password login'), https('machine'))).toEqual({
      login: 'password',
      password: 'login',
    });
  });

  test('written entries read back as they were', () => {
    const value = fc.stringMatching(/^[ -~]{1,20}$/);
    const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z.-]{1,9}$/), value, value), {
          selector: ([host]) => host,
        }),
        fc.constantFrom(' ', '\n  ', '\r\n\t'),
        (entries, gap) => {
          const netrc = parse(
            entries
              .map(([host, login, password]) =>
                ['machine', host, 'login', quoted(login), 'password', quoted(password)].join(gap),
              )
              .join('\n'),
          );
          for (const [host, login, password] of entries) {
            expect(findMachine(netrc, https(host))).toEqual({ login, password });
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('S5 any text is parsed or refused, and a refusal shows none of it', () => {
    const word = fc.constantFrom(
      'machine',
      'default',
      'login',
      'password',
      'macdef',
      'account',
      '#',
      '"',
      '\\',
      '\n',
      '\n\n',
    );
    const noise = fc.string({ unit: 'binary', maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            word,
            noise,
            noise.map((text) => MARK + text),
          ),
        ),
        (words) => {
          try {
            parse(words.join(' '));
          } catch (error) {
            expect(error).toBeInstanceOf(TransferError);
            expect(everythingIn(error)).not.toContain(MARK);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a mebibyte of one character is dealt with in one pass', () => {
    for (const character of ['"', '\\', ' ', '\n', '#', 'machine ', '#\n', 'macdef\n']) {
      const input = `machine a password "${character.repeat((1024 * 1024) / character.length)}`;
      try {
        parse(input);
      } catch (error) {
        expect(error).toBeInstanceOf(TransferError);
      }
    }
  });
});
