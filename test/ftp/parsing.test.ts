import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseFacts, statOfFacts, timeOf } from '../../src/ftp/facts.ts';
import { featuresOf, homeOf, isLoopback } from '../../src/ftp/login.ts';
import { epsvPort, pasvPort } from '../../src/ftp/passive.ts';
import { commandPath, decodePath, parentOf } from '../../src/ftp/paths.ts';
import { createReplyReader, type Reply } from '../../src/ftp/reply.ts';
import { replyError } from '../../src/ftp/reply-error.ts';
import type { Session } from '../../src/ftp/session.ts';
import { ftpSettings } from '../../src/ftp/settings.ts';

const SEED = Number(process.env.SEED ?? 20260101);

function reply(text: string): Reply {
  const [only] = createReplyReader().push(`${text}\r\n`);
  return only!;
}

describe('a reply', () => {
  test('may have many lines, some of which begin like its last', () => {
    const text = '211-Features:\r\n SIZE\r\n211-still\r\n212 other\r\n211 End\r\n220 next\r\n';
    expect(createReplyReader().push(text)).toEqual([
      { code: 211, lines: ['Features:', ' SIZE', 'still', '212 other', 'End'] },
      { code: 220, lines: ['next'] },
    ]);
  });

  test('is the same however its bytes come', () => {
    const text = '250-begin\r\n type=file; a b\r\n250 end\r\n226\r\n150 x\n';
    const whole = createReplyReader().push(text);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: text.length }), (sizes) => {
        const reader = createReplyReader();
        const replies: Reply[] = [];
        for (let at = 0, n = 0; at < text.length; at += sizes[n]!, n += 1) {
          replies.push(...reader.push(text.slice(at, at + sizes[n]!)));
        }
        expect(replies).toEqual(whole);
        expect(reader.isPartial()).toBe(false);
      }),
      { seed: SEED },
    );
  });

  test('F24 that is no FTP, or never ends, is refused', () => {
    expect(() => createReplyReader().push('SSH-2.0-OpenSSH_9.2\r\n')).toThrow(/expected an FTP reply/);
    expect(() => createReplyReader().push('7 x\r\n')).toThrow(/expected an FTP reply/);
    const reader = createReplyReader();
    expect(() => {
      for (let n = 0; n < 10_000; n += 1) reader.push(`211-${'x'.repeat(100)}\r\n`);
    }).toThrow(/longer than/);
    expect(() => createReplyReader().push('x'.repeat(300_000))).toThrow(/longer than/);
  });

  test.each([
    ['450 /x: No such file or directory', 'not-found'],
    ['450 busy', 'unavailable'],
    ['550 /x: Permission denied', 'permission-denied'],
    ['550 /x: No such file or directory', 'not-found'],
    ['550 /x: Directory not empty', 'already-exists'],
    ['550 Not a regular file', 'invalid-request'],
    ['550 Failed to open file.', 'not-found'],
    ['553 Could not create file.', 'permission-denied'],
    ['552 Exceeded storage allocation', 'no-space'],
    ['451 write error: No space left on device', 'no-space'],
    ['421 Too many connections (8) from this IP', 'rate-limited'],
    ['421 Timeout', 'unavailable'],
    ['530 Sorry, the maximum number of clients (2) are already connected', 'rate-limited'],
    ['530 Login incorrect.', 'unauthenticated'],
    ['530 Permission denied.', 'unauthenticated'],
    ['500 what', 'unsupported'],
    ['522 SSL connection failed: session reuse required', 'permission-denied'],
    ['550 SSL/TLS required on the control channel', 'permission-denied'],
    ['521 Data connection cannot be opened with this PROT setting.', 'permission-denied'],
    ['499 news', 'unavailable'],
    ['599 news', 'unexpected'],
  ])('`%s` is `%s`', (text, code) => {
    expect(replyError(reply(text), 'read `x`').code).toBe(code);
  });

  test('says what the server said, in one printable line', () => {
    const error = replyError({ code: 550, lines: ['a\x1b[31m\tb', `c${'x'.repeat(999)}`] }, 'read `x`');
    expect(error.message).toMatch(/^read `x`: the server says `550 a \[31m b cx+…`$/);
    expect(error.message.length).toBeLessThan(300);
  });

  test.each([
    ['550 Permission denied', '`bridle doctor URL`'],
    ['452 Transfer aborted. No space left on device', '`bridle clean`'],
    ['530 Login incorrect', 'credentials file'],
  ])('P6 that is a refusal says what to do: %s', (text, hint) => {
    expect(replyError(reply(text), 'write `x`').hint).toContain(hint);
  });
});

describe('the port of a data connection', () => {
  test.each([
    ['229 Entering Extended Passive Mode (|||6446|)', 6446],
    ['229 fine (!!!21!)', 21],
    ['229 with an address (|1|10.0.0.1|6446|)', 6446],
    ['229 (|||70000|)', undefined],
    ['229 (|||0|)', undefined],
    ['229 nothing', undefined],
  ])('EPSV `%s`', (text, port) => expect(epsvPort(reply(text))).toBe(port));

  test.each([
    ['227 Entering Passive Mode (10,1,2,3,4,5)', 4 * 256 + 5],
    ['227 Entering Passive Mode. 127,0,0,1,255,255', 65535],
    ['227 (10,1,2,3,256,5)', undefined],
    ['227 (10,1,2,3,0,0)', undefined],
    ['227 nothing', undefined],
  ])('PASV `%s`', (text, port) => expect(pasvPort(reply(text))).toBe(port));
});

describe('facts', () => {
  test('have any name behind them', () => {
    const line = 'Type=file;Size=12;modify=20200102030405.678;UNIX.mode=0644; two  spaces; and=more';
    const facts = parseFacts(line)!;
    expect(facts.name).toBe('two  spaces; and=more');
    expect(statOfFacts(facts)).toEqual({
      type: 'file',
      size: 12,
      modified: new Date('2020-01-02T03:04:05.678Z'),
      mode: 0o644,
    });
    expect(parseFacts('type=file;  leading')?.name).toBe(' leading');
    expect(parseFacts('-rw-r--r-- 1 u g 5 Jan 1 2020 a')).toBeUndefined();
  });

  test.each([
    ['type=cdir; /x', undefined],
    ['type=pdir; ..', undefined],
    ['type=dir; ..', undefined],
    ['type=dir; a', 'directory'],
    ['type=OS.unix=slink:/etc; a', 'symlink'],
    ['type=OS.unix=symlink; a', 'symlink'],
    ['type=OS.unix=chr-1/2; a', 'other'],
    ['size=5; a', 'other'],
  ])('`%s` is %s', (line, type) => {
    expect(statOfFacts(parseFacts(line)!)?.type).toBe(type);
  });

  test('tell times in UTC, or none', () => {
    expect(timeOf('20200102030405')).toEqual(new Date('2020-01-02T03:04:05Z'));
    expect(timeOf('2020010203')).toBeUndefined();
    expect(timeOf(undefined)).toBeUndefined();
  });
});

describe('a path', () => {
  const at = (home: string | undefined) => ({ home }) as Session;

  test.each([
    ['/a/b', '/home/user', '/home/user/a/b'],
    ['/a/b', '/', '/a/b'],
    ['/a/b', undefined, 'a/b'],
    ['//etc/x', '/home/user', '/etc/x'],
    ['/%2Fetc/x', '/home/user', '/etc/x'],
    ['/', '/home/user', '/home/user'],
    ['/', '/', '/'],
    ['/', undefined, '.'],
    ['/a/', '/', '/a'],
    ['/-rf', '/', '/-rf'],
    ['/a;type=i', '/', '/a'],
    ['/a;type=b', '/', '/a;type=b'],
    ['/%2541', '/', '/%41'],
    ['/a%zz', '/', '/a%zz'],
  ])('`%s` below `%s` is `%s`', (path, home, expected) => {
    expect(commandPath(at(home), decodePath(path, 'read'))).toBe(expected);
  });

  test('L14 is bytes, whatever they mean', () => {
    expect(decodePath('/%E4', 'read')).toBe('/\xe4');
    expect(decodePath('/%C3%A4', 'read')).toBe('/\xc3\xa4');
  });

  test.each(['%0a', '%0D%0ADELE%20x', '%00', '%FF', '\n'])(
    'S4 with `%s` is refused by name: no second command',
    (part) => {
      expect(() => decodePath(`/a${part}b`, 'read')).toThrow(/expected a name that FTP can carry/);
    },
  );

  test('has a directory above it, or none', () => {
    expect(['/a/b', '/a', '/', 'a', 'a/b'].map(parentOf)).toEqual(['/a', '/', undefined, undefined, 'a']);
  });
});

test('what the server can do is told by name', () => {
  const features = featuresOf(reply('211-F\r\n MLST type*;size*;\r\n rest STREAM\r\n\tSIZE\r\n211 End'));
  expect([...features]).toEqual([
    ['MLST', 'type*;size*;'],
    ['REST', 'STREAM'],
    ['SIZE', ''],
  ]);
  expect(featuresOf(reply('500 what')).size).toBe(0);
});

test('the directory after login may have quotes in its name', () => {
  expect(homeOf(reply('257 "/a ""b"" c" is current'))).toBe('/a "b" c');
  expect(homeOf(reply('257 "C:\\x" is current'))).toBeUndefined();
  expect(homeOf(reply('550 no'))).toBeUndefined();
});

test('only this machine is this machine', () => {
  const addresses = [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '::ffff:127.0.0.1',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '1::1',
  ];
  expect(addresses.filter(isLoopback)).toEqual(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']);
});

test('a word that is no policy does not turn TLS off', () => {
  expect(ftpSettings({})).toEqual({ tls: 'auto' });
  expect(ftpSettings({ BRIDLE_FTP_TLS: 'OFF' })).toEqual({ tls: 'off' });
  expect(() => ftpSettings({ BRIDLE_FTP_TLS: 'yes' })).toThrow(/expected `auto`, `required` or `off`/);
});
