import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { childrenOf, escapeXml, parseXml, textOf, type Xml } from '../../src/s3/xml.ts';

const LISTING = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><!-- <Key>no</Key> -->
  <Prefix/><IsTruncated>false</IsTruncated >
  <Contents a="b"><Key>a&amp;b&#x20;&#99;</Key><Size>1</Size></Contents>
  <Contents><Key><![CDATA[x<y>&amp;]]></Key></Contents>
</ListBucketResult>
`;

describe('XML of a service', () => {
  test('is its elements and their texts', () => {
    const { name, root } = parseXml(LISTING, 'reading');
    expect(name).toBe('ListBucketResult');
    expect(childrenOf(root, 'Contents').map((one) => textOf(one, 'Key'))).toEqual(['a&b c', 'x<y>&amp;']);
    expect([textOf(root, 'Prefix'), textOf(root, 'IsTruncated'), textOf(root, 'Key')]).toEqual([
      '',
      'false',
      undefined,
    ]);
  });

  test('P2 that is cut anywhere is refused', () => {
    for (let at = 0; at < LISTING.trimEnd().length; at += 1) {
      expect(() => parseXml(LISTING.slice(0, at), 'reading'), `cut at ${at}`).toThrow('reading');
    }
  });

  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['JSON', '{}'],
    ['an element that another one ends', '<a><b></a></b>'],
    ['two roots', '<a></a><b></b>'],
    ['text behind the root', '<a></a>more'],
    ['an end without a beginning', '</a>'],
    ['a document type, which may define anything', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ['a tower of elements', `${'<a>'.repeat(100_000)}${'</a>'.repeat(100_000)}`],
  ])('that is %s is refused', (_, text) => {
    expect(() => parseXml(text, 'reading')).toThrow('reading');
  });

  test('keeps what is no known entity, and names that objects have by themselves', () => {
    const { root } = parseXml(
      '<R><__proto__>x</__proto__><constructor>y</constructor><T>&no;&#xFFFFFF;&</T></R>',
      'reading',
    );
    expect([textOf(root, '__proto__'), textOf(root, 'constructor'), textOf(root, 'toString')]).toEqual([
      'x',
      'y',
      undefined,
    ]);
    expect(textOf(root, 'T')).toBe('&no;&#xFFFFFF;&');
  });

  test('gives any text back as it was written', () => {
    for (const key of ['007', ' x ', `a&b<c>"d'`, 'new\nline', '1e5', 'tab\there', ']]>', '&amp;']) {
      expect(textOf(parseXml(`<R><Key>${escapeXml(key)}</Key></R>`, 'reading').root, 'Key')).toBe(key);
    }
    const tree: fc.Arbitrary<Xml> = fc.letrec<{ node: Xml }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'grapheme' }),
        fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((items) => ({ item: items })),
      ),
    })).node;
    const write = (node: Xml): string =>
      typeof node === 'string'
        ? escapeXml(node)
        : childrenOf(node, 'item')
            .map((item) => `<item>${write(item)}</item>`)
            .join('');
    const read = (node: Xml): Xml =>
      typeof node === 'string' ? node : { item: childrenOf(node, 'item').map(read) };
    fc.assert(
      fc.property(tree, (node) => {
        expect(read(parseXml(`<R>${write(node)}</R>`, 'reading').root)).toEqual(node);
      }),
    );
  });
});
