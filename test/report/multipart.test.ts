import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Event, Outcome } from '../../src/outcome.ts';
import { multipartRecord } from '../../src/report/multipart.ts';
import { yamlString } from '../../src/report/yaml.ts';
import { at, attempt, NOON, outcome, REFUSED } from './script.ts';

const SECOND = Math.floor(NOON / 1000);

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-multipart-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function record(outcomes: readonly Outcome[], into = directory): string[] {
  const errors: string[] = [];
  const consumer = multipartRecord({ directory: into, now: () => NOON, error: (line) => errors.push(line) });
  for (const some of outcomes) consumer.event({ type: 'item-ended', outcome: some } satisfies Event);
  consumer.close();
  return errors;
}

describe('the multipart file', () => {
  test('has one entry an attempt, in the layout that monitoring reads', () => {
    const attempts = [
      attempt({
        source: at('https://d.example/a', 'data-store'),
        failure: REFUSED,
        bytes: 0,
        started: NOON - 900,
      }),
      attempt({ round: 2, seconds: 1.26 }),
    ];
    expect(record([outcome({ attempts }), outcome({ lfn: '', index: 1 })])).toEqual([]);
    expect(readdirSync(directory)).toEqual([`${SECOND}-transfer`]);
    expect(readFileSync(join(directory, `${SECOND}-transfer`), 'utf8')).toMatchInlineSnapshot(`
      "- transfer_attempts:
        - src_url: "https://d.example/a"
          src_label: "data_store"
          dst_url: "file:///out/a"
          dst_label: "pool_1"
          success: False
          start: 1795341337
          duration: 0.2
          lfn: "a"
        - src_url: "file:///in/a"
          src_label: "local"
          dst_url: "file:///out/a"
          dst_label: "pool_1"
          success: True
          start: 1795341338
          duration: 1.3
          lfn: "a"
          bytes: 14
        - src_url: "file:///in/a"
          src_label: "local"
          dst_url: "file:///out/a"
          dst_label: "pool_1"
          success: True
          start: 1795341338
          duration: 0.2
          bytes: 14
      "
    `);
  });

  test('D17 two runs in one second leave two files', () => {
    record([outcome()]);
    writeFileSync(join(directory, `${SECOND + 1}-transfer`), 'of another run');
    record([outcome(), outcome()]);
    expect(readdirSync(directory).sort()).toEqual([0, 1, 2].map((more) => `${SECOND + more}-transfer`));
    expect(readFileSync(join(directory, `${SECOND + 1}-transfer`), 'utf8')).toBe('of another run');
  });

  test('is hidden until the run ends', () => {
    const consumer = multipartRecord({ directory, now: () => NOON, error: () => {} });
    consumer.event({ type: 'item-ended', outcome: outcome() });
    expect(readdirSync(directory).every((name) => name.startsWith('.'))).toBe(true);
    consumer.close();
    expect(readdirSync(directory)).toEqual([`${SECOND}-transfer`]);
  });

  test('is not made without attempts, nor for mkdirs and removes', () => {
    record([outcome({ kind: 'mkdir' }), outcome({ kind: 'remove' }), outcome({ attempts: [] })]);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a missing directory is one error line, however many attempts', () => {
    const absent = join(directory, 'absent');
    expect(record([outcome(), outcome()], absent)).toEqual([
      `writing \`${absent}/transfer\`: no such file or directory`,
    ]);
  });

  test('D18 quotes, backslashes and newlines in names stay inside their scalar', () => {
    const path = '/out/a"b\\c\n- forged: True';
    const destination = { scheme: 'file', authority: '', path, site: 'x"y' };
    record([outcome({ lfn: 'l"\\\n\u2028\x85', attempts: [attempt({ destination })] })]);
    const lines = readFileSync(join(directory, `${SECOND}-transfer`), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(10);
    const scalar = (key: string) =>
      JSON.parse(
        lines
          .find((line) => line.includes(`${key}: `))!
          .split(': ')
          .slice(1)
          .join(': '),
      );
    expect(scalar('dst_url')).toBe(`file://${path}`);
    expect(scalar('dst_label')).toBe('x"y');
    expect(scalar('lfn')).toBe('l"\\\n\u2028\x85');
  });

  test('D18 any text comes back from its scalar, which has only printable characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const scalar = yamlString(text);
        expect(JSON.parse(scalar)).toBe(text);
        expect(scalar).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/);
      }),
      { seed: 18, numRuns: 2000 },
    );
  });
});
