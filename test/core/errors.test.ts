import { describe, expect, test } from 'vitest';
import {
  type ErrorCode,
  errnoOf,
  FULL_HINT,
  REFUSED_HINT,
  TransferError,
  toTransferError,
  UNKNOWN_HOST_HINT,
} from '../../src/errors.ts';

const errno = (code: string) => Object.assign(new Error(`${code}: raw text`), { code });

describe('errno', () => {
  test.each<[string, ErrorCode, boolean]>([
    ['L1 ENOSPC', 'no-space', false],
    ['L2 EDQUOT', 'no-space', false],
    ['L3 EACCES', 'permission-denied', false],
    ['L3 EROFS', 'permission-denied', false],
    ['L6 EISDIR', 'invalid-request', false],
    ['L9 EMFILE', 'unavailable', true],
    ['L9 ENFILE', 'unavailable', true],
    ['L14 ENAMETOOLONG', 'invalid-request', false],
    ['F2 ECONNRESET', 'unavailable', true],
    ['F25 ENOTFOUND', 'not-found', false],
    ['F25 EAI_AGAIN', 'unavailable', true],
    ['P8 ABORT_ERR', 'canceled', false],
    ['P6 ENEVERHEARD', 'unexpected', false],
  ])('%s is `%s`', (name, code, transient) => {
    const number = name.split(' ')[1] ?? '';
    const error = toTransferError(errno(number), 'do it');
    expect(error).toMatchObject({ code, transient });
    expect(error.message).toMatch(/^do it: /);
    expect(errnoOf(error.cause)).toBe(number);
  });

  test.each([
    ['F25 ENOTFOUND', UNKNOWN_HOST_HINT],
    ['F25 ECONNREFUSED', REFUSED_HINT],
    ['L1 ENOSPC', FULL_HINT],
    ['L2 EDQUOT', FULL_HINT],
    ['L3 EACCES', undefined],
  ])('P6 %s says what to do', (name, hint) => {
    expect(toTransferError(errno(name.split(' ')[1] ?? ''), 'do it').hint).toBe(hint);
  });

  test('our own errors stay as they are', () => {
    const own = new TransferError('stalled', 'read: silent', { retryAfter: 3, hint: 'wait' });
    expect(toTransferError(own, 'other')).toBe(own);
  });

  test('what is no error at all is `unexpected`', () => {
    expect(toTransferError('a string', 'do it')).toMatchObject({ code: 'unexpected' });
    expect(toTransferError(undefined, 'do it')).toMatchObject({ code: 'unexpected' });
  });
});
