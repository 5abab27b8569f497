import type { FormatName } from '../../../src/integrity/manifests/manifest.ts';
import { A, B, MD5, SHA512 } from './reading.ts';

/** Good lists of every format, each of some lines. */
export const SAMPLES: Readonly<Record<FormatName, readonly string[]>> = {
  sums: [`${A}  a\n${B} *dir/b c\n\\${A}  d\\ne\n`, `${A} a\n${B} b\n`],
  bsd: [`SHA256 (a) = ${A}\n\\MD5 (b\\nc) = ${MD5}\nSHA2-512(d)= ${SHA512}\n`],
  meta: [
    `[\n{"_type": "file", "_id": "a", "_attributes": {"size": "3", "checksum.type": "sha256", "checksum.value": "${A}"}},
{"_type": "file", "_id": "b", "_attributes": {"checksum.value": "${B}"}}\n]\n`,
  ],
  'catalog-yaml': [
    `pegasus: "5.0"\nreplicas:\n  - lfn: a\n    pfns:\n      - site: local\n        pfn: "file:///x/a"
    checksum:\n      sha256: ${A}\n    metadata:\n      size: 3\n  - {lfn: b, pfns: [{site: x, pfn: /b}], checksum: {sha256: ${B}}}\n`,
  ],
  'catalog-text': [
    `# replicas\na file:///x/a site="local" checksum.type="sha256" checksum.value="${A}"
"b \\"c" 'd' pool=x checksum.type=sha256 checksum.value=${B}\n`,
  ],
  bagit: [`${A}  data/a\n${B} *data/b%0Ac%25\n`],
  json: [
    `{"bridle-checksums": 1, "files": [\n{"name": "a", "size": 3, "digests": {"sha256": "${A}"}},
{"name": "b", "digests": {"md5": "${MD5}", "sha512": "${SHA512}"}, "places": ["s3://x/b"]}\n]}\n`,
  ],
  metalink: [
    `<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="dir/a &amp; b"><size>3</size><hash type="sha-256">${A}</hash><hash type="md5">${MD5}</hash>
    <pieces length="2" type="sha-256"><hash>${B}</hash><hash>${B}</hash></pieces>
    <url priority="2">ftp://b.example/a</url><url priority="1">https://a.example/a</url></file>\n</metalink>\n`,
  ],
  'ro-crate': [
    `{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [\n{"@id": "./", "@type": "Dataset"},
{"@id": "a%20b.csv", "@type": "File", "contentSize": "3", "sha256": "${A}"},
{"@id": "https://x.example/c", "@type": ["File", "Image"], "sha512": "${SHA512}"}\n]}\n`,
  ],
  registry: [`# data\na.csv ${A}\n'b c.csv' md5:${MD5} https://x.example/b\nd sha512:${SHA512}\n`],
};
