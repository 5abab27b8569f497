/**
 * The bytes of a SIF file: all numbers little-endian, nothing padded (the Singularity image format as its `sif` library
 * and files made by apptainer have it; version 01).
 */
export const HEADER_BYTES = 128;
export const DESCRIPTOR_BYTES = 585;
/** As apptainer writes them; a reader goes by what the header says. */
export const DESCRIPTORS = 48;
export const TABLE_OFFSET = 4096;
export const DATA_OFFSET = TABLE_OFFSET + DESCRIPTORS * DESCRIPTOR_BYTES;
/** Partitions are mounted where they lie. */
export const PARTITION_ALIGNMENT = 4096;

export const LAUNCH = '#!/usr/bin/env run-singularity\n';
export const MAGIC = 'SIF_MAGIC';
/** Whether the first bytes of a file are those of a SIF file; 42 of them tell. */
export function beginsAsSif(head: Uint8Array): boolean {
  const magic = Buffer.from(head.subarray(HEADER.magic, HEADER.magic + MAGIC.length + 1));
  return magic.toString('latin1') === `${MAGIC}\0`;
}

export const VERSION = '01';

export const DATA_TYPES = {
  deffile: 0x4001,
  environment: 0x4002,
  labels: 0x4003,
  partition: 0x4004,
  signature: 0x4005,
  json: 0x4006,
  generic: 0x4007,
  'crypto-message': 0x4008,
  sbom: 0x4009,
  'oci-root-index': 0x400a,
  'oci-blob': 0x400b,
} as const;

export type DataType = keyof typeof DATA_TYPES;

export const SQUASHFS = 1;
export const PRIMARY_SYSTEM = 2;

/** What the group of a descriptor is marked with, and the group that apptainer puts the parts of an image in. */
const GROUP_MASK = 0xf0000000;
const GROUP = 1;

/** Architectures by the names of Go's `GOARCH`. */
export const ARCHITECTURES: Readonly<Record<string, string>> = {
  '386': '01',
  amd64: '02',
  arm: '03',
  arm64: '04',
  ppc64: '05',
  ppc64le: '06',
  mips: '07',
  mipsle: '08',
  mips64: '09',
  mips64le: '10',
  s390x: '11',
  riscv64: '12',
  loong64: '13',
};

export const UNKNOWN_ARCHITECTURE = '00';

export interface Header {
  /** Two digits, see {@link ARCHITECTURES}. */
  readonly architecture: string;
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** Seconds since 1970. */
  readonly created: number;
  readonly modified: number;
  readonly descriptorsFree: number;
  readonly descriptors: number;
  readonly tableOffset: number;
  readonly tableBytes: number;
  readonly dataOffset: number;
  readonly dataBytes: number;
}

export interface SifObject {
  readonly type: number;
  /** Its place in the table, from 1. */
  readonly id: number;
  readonly offset: number;
  readonly size: number;
  /** With what was left free in front of it. */
  readonly paddedSize: number;
  readonly created: number;
  readonly modified: number;
  readonly name: string;
  /** Of a partition. */
  readonly partition?: { readonly fileSystem: number; readonly kind: number; readonly architecture: string };
}

/** Where each field of the header begins. */
export const HEADER = {
  launch: 0,
  magic: 32,
  version: 42,
  architecture: 45,
  id: 48,
  created: 64,
  modified: 72,
  descriptorsFree: 80,
  descriptors: 88,
  tableOffset: 96,
  tableBytes: 104,
  dataOffset: 112,
  dataBytes: 120,
} as const;

/** Where each field of a descriptor begins. */
export const DESCRIPTOR = {
  type: 0,
  used: 4,
  id: 5,
  group: 9,
  link: 13,
  offset: 17,
  size: 25,
  paddedSize: 33,
  created: 41,
  modified: 49,
  uid: 57,
  gid: 65,
  name: 73,
  extra: 201,
} as const;

export function headerBytes(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(LAUNCH, HEADER.launch, 'latin1');
  bytes.write(MAGIC, HEADER.magic, 'latin1');
  bytes.write(VERSION, HEADER.version, 'latin1');
  bytes.write(header.architecture, HEADER.architecture, 'latin1');
  bytes.set(header.id, HEADER.id);
  for (const field of [
    'created',
    'modified',
    'descriptorsFree',
    'descriptors',
    'tableOffset',
    'tableBytes',
    'dataOffset',
    'dataBytes',
  ] as const) {
    bytes.writeBigInt64LE(BigInt(header[field]), HEADER[field]);
  }
  return bytes;
}

/** A descriptor in use, owned by root, in the group of the image. */
export function descriptorBytes(object: SifObject): Buffer {
  const bytes = Buffer.alloc(DESCRIPTOR_BYTES);
  bytes.writeInt32LE(object.type, DESCRIPTOR.type);
  bytes.writeUInt8(1, DESCRIPTOR.used);
  bytes.writeUInt32LE(object.id, DESCRIPTOR.id);
  bytes.writeUInt32LE(GROUP_MASK + GROUP, DESCRIPTOR.group);
  for (const field of ['offset', 'size', 'paddedSize', 'created', 'modified'] as const) {
    bytes.writeBigInt64LE(BigInt(object[field]), DESCRIPTOR[field]);
  }
  bytes.write(object.name, DESCRIPTOR.name, DESCRIPTOR.extra - DESCRIPTOR.name - 1, 'latin1');
  if (object.partition) {
    bytes.writeInt32LE(object.partition.fileSystem, DESCRIPTOR.extra);
    bytes.writeInt32LE(object.partition.kind, DESCRIPTOR.extra + 4);
    bytes.write(object.partition.architecture, DESCRIPTOR.extra + 8, 'latin1');
  }
  return bytes;
}
