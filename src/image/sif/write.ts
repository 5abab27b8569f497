import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import type { ByteText } from '../../job/byte-text.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../../local/scratch-directory.ts';
import type { Image } from '../image.ts';
import { flattenDownwards } from '../layers/downwards.ts';
import { extract } from '../layers/extract.ts';
import { type FlattenOptions, flatten } from '../layers/flatten.ts';
import { additions, definition } from './additions.ts';
import {
  ARCHITECTURES,
  DATA_OFFSET,
  DATA_TYPES,
  DESCRIPTOR_BYTES,
  DESCRIPTORS,
  descriptorBytes,
  HEADER_BYTES,
  headerBytes,
  PARTITION_ALIGNMENT,
  PRIMARY_SYSTEM,
  type SifObject,
  SQUASHFS,
  TABLE_OFFSET,
  UNKNOWN_ARCHITECTURE,
} from './layout.ts';
import { findPacker, type PackCall, type Packer, packTar, packTree } from './packer.ts';

export interface WriteSifOptions {
  readonly signal: AbortSignal;
  /** Directories in which programs are looked for, as `PATH` has them. */
  readonly path: string;
  /** Seconds since 1970 for all times that are not the image's own (`SOURCE_DATE_EPOCH`); 0 without. */
  readonly time?: number;
  readonly limits?: FlattenOptions['limits'];
}

export interface WrittenSif {
  readonly size: number;
  /** Lower-case hexadecimal, of the whole file. */
  readonly sha256: string;
  readonly packer: Packer;
}

/** The name by which apptainer 1.4.5 finds it. */
const CONFIGURATION = 'oci-config.json';
/** Runnable, as apptainer leaves it. */
const MODE = 0o755;
const COPIED_AT_A_TIME = 1024 * 1024;

/**
 * A SIF file of `image` that apptainer runs lies at `path`, which is replaced in one step; nothing is left on a failure.
 * The same image, packer and `time` give the same bytes. Rejects as `flatten` does, with `unsupported` when no program
 * that makes a squashfs is in `options.path`, and with what this says when it fails.
 */
export async function writeSif(image: Image, path: string, options: WriteSifOptions): Promise<WrittenSif> {
  const { time = 0 } = options;
  const packer = findPacker(options.path);
  let scratch: ScratchDirectory | undefined;
  try {
    scratch = await makeScratchDirectory(path);
    const squashfs = join(scratch.path, 'squashfs');
    await pack(image, { packer, to: squashfs, time, path: options.path, signal: options.signal }, options);
    const whole = join(scratch.path, 'sif');
    const sha256 = await assemble(image, squashfs, whole, time);
    const { size } = fs.statSync(whole);
    fs.renameSync(whole, path);
    return { size, sha256, packer };
  } catch (error) {
    throw toTransferError(error, `writing \`${path}\``);
  } finally {
    await scratch?.close();
  }
}

/** Attributes that a squashfs can hold and a runtime uses. */
const keepsAttribute = (name: ByteText): boolean =>
  name.startsWith('user.') || name === 'security.capability';

async function pack(image: Image, call: PackCall, { signal, limits }: WriteSifOptions): Promise<void> {
  const options = { limits: limits ?? {}, additions: additions(image), keepsAttribute };
  if (call.packer.name === 'tar2sqfs') {
    let isWrong = false;
    const onMisjudged = () => {
      isWrong = true;
    };
    await packTar(flattenDownwards(image.layers, signal, { ...options, onMisjudged }), call);
    if (!isWrong) return;
    fs.rmSync(call.to, { force: true });
    return packTar(flatten(image.layers, signal, options), call);
  }
  const tar = flatten(image.layers, signal, options);
  const root = `${call.to}.root`;
  const isOwned = process.geteuid?.() === 0;
  await extract(tar, root, { signal, setuid: true, devices: isOwned });
  await packTree(root, isOwned, call);
}

/** Puts the parts one behind the other into `to`. The sha256 of all. */
async function assemble(image: Image, squashfs: string, to: string, time: number): Promise<string> {
  const hash = createHash('sha256');
  const { front, partitionBytes } = layOut(image, fs.statSync(squashfs).size, time);
  const file = await open(to, 'wx', MODE);
  try {
    const add = async (bytes: Uint8Array) => {
      hash.update(bytes);
      await file.writeFile(bytes);
    };
    await add(front);
    let copied = 0;
    for await (const chunk of fs.createReadStream(squashfs, { highWaterMark: COPIED_AT_A_TIME })) {
      await add(chunk);
      copied += chunk.length;
    }
    if (copied !== partitionBytes)
      throw new TransferError('changed', 'making a SIF file: the squashfs has changed');
    await file.chmod(MODE);
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Everything in front of the partition. */
function layOut(image: Image, partitionBytes: number, time: number) {
  const architecture = ARCHITECTURES[image.platform.architecture] ?? UNKNOWN_ARCHITECTURE;
  const objects: SifObject[] = [];
  const bodies: Uint8Array[] = [];
  let end = DATA_OFFSET;
  const add = (object: Pick<SifObject, 'type' | 'name' | 'partition'>, size: number, alignment = 1) => {
    const offset = Math.ceil(end / alignment) * alignment;
    const paddedSize = offset - end + size;
    objects.push({
      ...object,
      id: objects.length + 1,
      offset,
      size,
      paddedSize,
      created: time,
      modified: time,
    });
    end = offset + size;
    return offset;
  };
  for (const [type, name, body] of [
    [DATA_TYPES.deffile, '', Buffer.from(definition(image))],
    [DATA_TYPES.json, CONFIGURATION, image.config.bytes],
  ] as const) {
    add({ type, name }, body.length);
    bodies.push(body);
  }
  const partition = { fileSystem: SQUASHFS, kind: PRIMARY_SYSTEM, architecture };
  const front = Buffer.alloc(
    add({ type: DATA_TYPES.partition, name: '', partition }, partitionBytes, PARTITION_ALIGNMENT),
  );
  headerBytes({
    architecture,
    id: idOf(image),
    created: time,
    modified: time,
    descriptorsFree: DESCRIPTORS - objects.length,
    descriptors: DESCRIPTORS,
    tableOffset: TABLE_OFFSET,
    tableBytes: DESCRIPTORS * DESCRIPTOR_BYTES,
    dataOffset: DATA_OFFSET,
    dataBytes: end - DATA_OFFSET,
  }).copy(front, 0, 0, HEADER_BYTES);
  for (const [at, object] of objects.entries())
    descriptorBytes(object).copy(front, TABLE_OFFSET + at * DESCRIPTOR_BYTES);
  for (const [at, body] of bodies.entries()) front.set(body, objects[at]?.offset);
  return { front, partitionBytes };
}

/**
 * A UUID of version 4 (RFC 9562 §5.4) whose random bits come from the digest of the configuration: the same image, the
 * same, also from an archive that has no manifest.
 */
function idOf({ config }: Image): Uint8Array {
  const id = createHash('sha256').update(`sif ${config.descriptor.digest}`).digest().subarray(0, 16);
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x40, 6);
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8);
  return id;
}
