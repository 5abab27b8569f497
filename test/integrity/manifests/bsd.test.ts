import { expect, test } from 'vitest';
import { A, inShort, MD5, read, SHA512 } from './reading.ts';

const one = async (line: string) => inShort(await read('bsd', `${line}\n`));

test.each([
  [`SHA256 (a b) = ${A}`, `a b: sha256 ${A}`],
  [`SHA256(a b)= ${A}`, `a b: sha256 ${A}`],
  [`SHA2-256(a)= ${A}`, `a: sha256 ${A}`],
  [`SHA2-512(a)= ${SHA512}`, `a: sha512 ${SHA512}`],
  [`SHA-512 (a) = ${SHA512}`, `a: sha512 ${SHA512}`],
  [`MD5 (a) = ${MD5.toUpperCase()}`, `a: md5 ${MD5}`],
  [`SHA1 (a) = ${'1'.repeat(40)}`, `a: sha1 ${'1'.repeat(40)}`],
  [`BLAKE3 (a) = ${A}`, `a: blake3 ${A}`],
  ['CRC32C (a) = 0000abcd', 'a: crc32c 0000abcd'],
  [`SHA256 (a) = (b)) = ${A}`, `a) = (b): sha256 ${A}`],
  [`SHA256 (a\\nb) = ${A}`, `a\\nb: sha256 ${A}`],
  [`\\SHA256 (a\\nb\\\\) = ${A}`, `a\nb\\: sha256 ${A}`],
])('`%s` is read', async (line, file) => {
  expect(await one(line)).toEqual({ files: [file], problems: [] });
});

test.each([
  ['a short digest', `SHA256 (a) = ${A.slice(1)}`, 'expected 64 hexadecimal digits for sha256, got 63'],
  [
    'a cut digest',
    `SHA512 (a) = ${SHA512.slice(0, 64)}`,
    'expected 128 hexadecimal digits for sha512, got 64',
  ],
  ['no digest', 'SHA256 (a) = ', 'expected `ALGORITHM (NAME) = DIGEST`'],
  ['base64', `SHA256 (a) = ${Buffer.from(A, 'hex').toString('base64')}`, 'got base64'],
  ['base64 without its padding', `SHA256 (a) = ${Buffer.from(A, 'hex').toString('base64url')}`, 'got base64'],
  ['another algorithm', `SHA512/256 (a) = ${A}`, 'expected an algorithm of'],
  ['no name', `SHA256 () = ${A}`, 'the name is empty'],
  ['no parenthesis', `SHA256 a = ${A}`, 'expected `ALGORITHM (NAME) = DIGEST`'],
  ['a line of sums', `${A}  a`, 'expected `ALGORITHM (NAME) = DIGEST`'],
  ['an escape that is none', `\\SHA256 (a\\t) = ${A}`, 'as escapes'],
])('B1 %s is told', async (_, line, problem) => {
  const { files, problems } = await one(line);
  expect(files).toEqual([]);
  expect(problems[0]).toContain(problem);
});
