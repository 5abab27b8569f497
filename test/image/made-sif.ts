import {
  DATA_OFFSET,
  DATA_TYPES,
  DESCRIPTOR_BYTES,
  DESCRIPTORS,
  descriptorBytes,
  headerBytes,
  PRIMARY_SYSTEM,
  TABLE_OFFSET,
} from '../../src/image/sif/layout.ts';

/** A partition that is no squashfs, so that nothing is looked for in it. */
const RAW = 4;

/** A SIF file with one primary partition of these bytes, made on 2024-01-02. */
export function makeSif(content: Uint8Array): Buffer {
  const created = Date.UTC(2024, 0, 2) / 1000;
  const header = headerBytes({
    architecture: '02',
    id: new Uint8Array(16),
    created,
    modified: created,
    descriptorsFree: DESCRIPTORS - 1,
    descriptors: DESCRIPTORS,
    tableOffset: TABLE_OFFSET,
    tableBytes: DESCRIPTORS * DESCRIPTOR_BYTES,
    dataOffset: DATA_OFFSET,
    dataBytes: content.length,
  });
  const partition = descriptorBytes({
    type: DATA_TYPES.partition,
    id: 1,
    offset: DATA_OFFSET,
    size: content.length,
    paddedSize: content.length,
    created,
    modified: created,
    name: '',
    partition: { fileSystem: RAW, kind: PRIMARY_SYSTEM, architecture: '02' },
  });
  const file = Buffer.alloc(DATA_OFFSET + content.length);
  file.set(header, 0);
  file.set(partition, TABLE_OFFSET);
  file.set(content, DATA_OFFSET);
  return file;
}
