import { expect, test } from 'vitest';
import { md5 } from '../../fixtures/misbehaving/s3-objects.ts';
import { compositeTag } from '../../src/s3/multipart.ts';
import { basePart, MAX_PARTS, PART_LIMITS, partSize, windowOf, writeMemory } from '../../src/s3/parts.ts';
import { createSupply } from '../../src/s3/supply.ts';

const MIB = 1024 * 1024;
const TIB = 1024 ** 4;

test('a known size fits into 10,000 parts of one size each, up to 50 TB', () => {
  for (const size of [1, 9 * MIB, 78 * 1024 * MIB, 80 * 1024 * MIB, TIB, 5 * TIB, 50e12]) {
    const part = basePart(size, PART_LIMITS);
    expect(Math.ceil(size / part)).toBeLessThanOrEqual(MAX_PARTS);
    expect(part).toBeGreaterThanOrEqual(5 * MIB);
    expect(part).toBeLessThanOrEqual(5 * 1024 ** 3);
    expect(partSize(9999, part, size)).toBe(part);
  }
});

test('of an unknown size the parts grow, so that 10,000 of them hold more than 7 TiB', () => {
  let sum = 0;
  for (let n = 1; n <= MAX_PARTS; n += 1) sum += partSize(n, basePart(undefined, PART_LIMITS), undefined);
  expect(partSize(1, PART_LIMITS.part, undefined)).toBe(8 * MIB);
  expect(sum).toBeGreaterThan(7 * TIB);
});

test('P11 the parts in memory stay within bounds, whatever the size', () => {
  for (const size of [undefined, 0, 100, 8 * MIB, 9 * MIB, 300 * 1024 * MIB, 50e12]) {
    expect(writeMemory(size)).toBeLessThanOrEqual(64 * MIB);
  }
  expect(windowOf(8 * MIB, PART_LIMITS)).toBe(4);
  expect(windowOf(32 * MIB, PART_LIMITS)).toBe(1);
});

test('the entity tag of an object made of parts is the digest of theirs, where theirs are digests', () => {
  const tags = [Buffer.alloc(5 * MIB, 'a'), Buffer.from('b')].map((part) => md5(part));
  const parts = tags.map((tag, index) => ({ number: index + 1, size: 0, tag }));
  expect(compositeTag(parts)).toBe('e5a8c5272b26fc10581a21089559b006-2');
  expect(compositeTag([...parts].reverse())).not.toBe('e5a8c5272b26fc10581a21089559b006-2');
  expect(compositeTag([...parts, { number: 3, size: 0, tag: 'of-an-encrypted-part' }])).toBeUndefined();
});

test('a supply gives its bytes in portions of any size', async () => {
  async function* bytes() {
    for (const text of ['abc', '', 'defgh', 'i']) yield Buffer.from(text);
  }
  const supply = createSupply(bytes());
  const buffer = Buffer.alloc(4);
  expect([await supply.take(buffer), String(buffer)]).toEqual([4, 'abcd']);
  let passed = '';
  for await (const chunk of supply.pass(3)) passed += chunk;
  expect(passed).toBe('efg');
  expect(await supply.isAtEnd()).toBe(false);
  expect([await supply.take(buffer), String(buffer.subarray(0, 2))]).toEqual([2, 'hi']);
  expect(await supply.isAtEnd()).toBe(true);
});
