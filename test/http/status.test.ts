import { describe, expect, test } from 'vitest';
import { statusError } from '../../src/http/status.ts';

describe('an answer as an error', () => {
  test.each([
    [400, 'invalid-request', false],
    [401, 'unauthenticated', false],
    [403, 'permission-denied', false],
    [404, 'not-found', false],
    [405, 'unsupported', false],
    [408, 'timed-out', true],
    [409, 'unexpected', false],
    [410, 'not-found', false],
    [412, 'changed', true],
    [413, 'no-space', false],
    [418, 'unexpected', false],
    [423, 'unavailable', true],
    [425, 'unavailable', true],
    [429, 'rate-limited', true],
    [500, 'unavailable', true],
    [501, 'unsupported', false],
    [502, 'unavailable', true],
    [503, 'unavailable', true],
    [504, 'timed-out', true],
    [505, 'unsupported', false],
    [507, 'no-space', false],
    [599, 'unavailable', true],
  ])('%d is %s, transient is %s', (status, code, transient) => {
    const error = statusError({ status, headers: {} }, 'GET https://host/f');
    expect(error).toMatchObject({ code, transient, retryAfter: undefined });
    expect(error.message).toMatch(/^GET https:\/\/host\/f: .* \(HTTP \d{3}\)$/);
  });

  test.each([
    [400, 'https://host/100%', '`%25`'],
    [400, 'http://host/f', '`davs:`'],
    [507, 'https://host/f', '`bridle clean`'],
    [403, 'https://host/f', '`bridle doctor URL`'],
  ])('P6 %d from %s says what to do', (status, url, hint) => {
    expect(statusError({ status, headers: {}, url }, 'GET').hint).toContain(hint);
  });

  test('a request that is well-formed as far as can be told gets no advice', () => {
    const answer = { status: 400, headers: {}, url: 'https://host/100%25' };
    expect(statusError(answer, 'GET').hint).toBeUndefined();
  });

  const date = 'Fri, 31 Dec 1999 23:59:00 GMT';
  test.each([
    ['120', 120],
    ['0', 0],
    ['Fri, 31 Dec 1999 23:59:59 GMT', 59],
    ['Fri, 31 Dec 1999 23:00:00 GMT', 0],
    ['999999999999999999999', 3600],
    ['Fri, 31 Dec 2999 23:59:59 GMT', 3600],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['', undefined],
    ['2000-01-01T00:00:00Z', undefined],
    ['Fri, 99 Dec 1999 23:59:59 GMT', undefined],
  ])('F11 Retry-After: %s asks to wait %s seconds', (value, seconds) => {
    const headers = { 'retry-after': value, date };
    expect(statusError({ status: 503, headers }, 'GET x').retryAfter).toBe(seconds);
  });
});
