import fs from 'node:fs/promises';
import { TransferError, toTransferError } from '../../errors.ts';
import {
  ARCHITECTURES,
  DATA_TYPES,
  type DataType,
  DESCRIPTOR,
  DESCRIPTOR_BYTES,
  HEADER,
  HEADER_BYTES,
  type Header,
  MAGIC,
  PRIMARY_SYSTEM,
  type SifObject,
  SQUASHFS,
  VERSION,
} from './layout.ts';
import { readSuperblock, SUPERBLOCK_BYTES, type Superblock } from './superblock.ts';

export interface Sif {
  readonly header: Header;
  /** As Go names it; undefined when the file does not say or is of one that has no name. */
  readonly architecture: string | undefined;
  /** Those in use, in the order of the table. */
  readonly objects: readonly SifObject[];
  /** The file system that the image is run from, when it is a squashfs. */
  readonly superblock?: Superblock;
}

/** More than any file has: apptainer makes 48. */
const MOST_DESCRIPTORS = 65_536;

/** What the type of an object is called. */
export function typeName(type: number): DataType | undefined {
  const found = Object.entries(DATA_TYPES).find(([, value]) => value === type);
  return found?.[0] as DataType | undefined;
}

/**
 * What the SIF file at `path` holds, looked at: its table and all objects lie inside the file and apart from each other, there is one primary
 * partition, and a squashfs in it begins as one and ends inside. Rejects with `invalid-request` when that is not so, and
 * says what was found. That the content is what it was is for a digest to tell.
 */
export async function readSif(path: string): Promise<Sif> {
  const doing = `reading \`${path}\``;
  const broken = (what: string) =>
    new TransferError('invalid-request', `${doing}: no whole SIF file: ${what}`);
  let file: fs.FileHandle;
  try {
    file = await fs.open(path, 'r');
  } catch (error) {
    throw toTransferError(error, doing);
  }
  try {
    const { size } = await file.stat();
    const header = readHeader(await piece(file, 0, HEADER_BYTES), size, broken);
    const table = await piece(file, header.tableOffset, header.tableBytes);
    const objects: SifObject[] = [];
    for (let at = 0; at < header.descriptors; at += 1) {
      const object = readObject(table.subarray(at * DESCRIPTOR_BYTES, (at + 1) * DESCRIPTOR_BYTES));
      if (!object) continue;
      if (!isInside(object.offset, object.size, size))
        throw broken(`object ${object.id} ends behind the file`);
      objects.push(object);
    }
    const [primary, second] = objects.filter(({ partition }) => partition?.kind === PRIMARY_SYSTEM);
    if (!primary) throw broken('it has no primary partition');
    if (second) throw broken('it has two primary partitions');
    const clash = overlapOf([
      { what: 'its header', offset: 0, size: HEADER_BYTES },
      { what: 'its table', offset: header.tableOffset, size: header.tableBytes },
      ...objects.map(({ id, offset, size: bytes }) => ({ what: `object ${id}`, offset, size: bytes })),
    ]);
    if (clash !== undefined) throw broken(clash);
    const [architecture] =
      Object.entries(ARCHITECTURES).find(([, code]) => code === header.architecture) ?? [];
    const sif = { header, architecture, objects };
    if (primary.partition?.fileSystem !== SQUASHFS) return sif;
    const superblock = readSuperblock(await piece(file, primary.offset, SUPERBLOCK_BYTES), primary.size);
    if (typeof superblock === 'string') throw broken(`its primary partition ${superblock}`);
    return { ...sif, superblock };
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    await file.close();
  }

  async function piece(from: fs.FileHandle, offset: number, size: number): Promise<Buffer> {
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await from.read(bytes, 0, size, offset);
    if (bytesRead < size) throw broken(`it ends at ${offset + bytesRead}`);
    return bytes;
  }
}

function readHeader(bytes: Buffer, fileSize: number, broken: (what: string) => TransferError): Header {
  const text = (at: number, length: number) =>
    bytes.toString('latin1', at, at + length).replace(/\0[\s\S]*$/, '');
  if (text(HEADER.magic, 10) !== MAGIC) throw broken('it does not say that it is one');
  if (text(HEADER.version, 3) !== VERSION) throw broken(`its version is not ${VERSION}`);
  const number = (at: number) => Number(bytes.readBigInt64LE(at));
  const header = {
    architecture: text(HEADER.architecture, 3),
    id: Uint8Array.from(bytes.subarray(HEADER.id, HEADER.id + 16)),
    created: number(HEADER.created),
    modified: number(HEADER.modified),
    descriptorsFree: number(HEADER.descriptorsFree),
    descriptors: number(HEADER.descriptors),
    tableOffset: number(HEADER.tableOffset),
    tableBytes: number(HEADER.tableBytes),
    dataOffset: number(HEADER.dataOffset),
    dataBytes: number(HEADER.dataBytes),
  };
  const { descriptors, tableBytes } = header;
  if (descriptors < 1 || descriptors > MOST_DESCRIPTORS || tableBytes !== descriptors * DESCRIPTOR_BYTES) {
    throw broken('the size of its table is none');
  }
  if (!isInside(header.tableOffset, tableBytes, fileSize)) throw broken('its table ends behind the file');
  if (!isInside(header.dataOffset, header.dataBytes, fileSize)) throw broken('its data ends behind the file');
  return header;
}

const isInside = (offset: number, size: number, fileSize: number): boolean =>
  offset >= 0 && size >= 0 && offset + size <= fileSize;

interface Span {
  readonly what: string;
  readonly offset: number;
  readonly size: number;
}

/** The first two that share bytes. */
function overlapOf(spans: readonly Span[]): string | undefined {
  const sorted = spans.filter(({ size }) => size > 0).sort((one, other) => one.offset - other.offset);
  for (const [at, { what, offset }] of sorted.entries()) {
    const before = sorted[at - 1];
    if (before && before.offset + before.size > offset) return `${before.what} and ${what} overlap`;
  }
  return undefined;
}

function readObject(bytes: Buffer): SifObject | undefined {
  if (bytes[DESCRIPTOR.used] === 0) return undefined;
  const number = (at: number) => Number(bytes.readBigInt64LE(at));
  const type = bytes.readInt32LE(DESCRIPTOR.type);
  const object = {
    type,
    id: bytes.readUInt32LE(DESCRIPTOR.id),
    offset: number(DESCRIPTOR.offset),
    size: number(DESCRIPTOR.size),
    paddedSize: number(DESCRIPTOR.paddedSize),
    created: number(DESCRIPTOR.created),
    modified: number(DESCRIPTOR.modified),
    name: bytes.toString('utf8', DESCRIPTOR.name, DESCRIPTOR.extra).replace(/\0[\s\S]*$/, ''),
  };
  if (type !== DATA_TYPES.partition) return object;
  const { extra } = DESCRIPTOR;
  return {
    ...object,
    partition: {
      fileSystem: bytes.readInt32LE(extra),
      kind: bytes.readInt32LE(extra + 4),
      architecture: bytes.toString('latin1', extra + 8, extra + 10),
    },
  };
}
