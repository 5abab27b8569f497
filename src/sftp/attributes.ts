import type { Stat } from '../protocol.ts';
import type { FieldReader } from './wire.ts';

/** Flags of ATTRS (draft-ietf-secsh-filexfer-02 §5). */
const SIZE = 1;
const OWNER = 2;
const PERMISSIONS = 4;
const TIMES = 8;
const EXTENDED = 0x80000000;

/** S_IFMT and its values: the same on every system that speaks SFTP version 3. */
const TYPE_MASK = 0o170000;
const FILE = 0o100000;
const DIRECTORY = 0o040000;
const LINK = 0o120000;

/** What the server says of a file; every part of it may be absent. */
export interface Attributes {
  readonly size?: number;
  readonly owner?: readonly [uid: number, gid: number];
  /** With the bits of the type. */
  readonly permissions?: number;
  /** Seconds since 1970. */
  readonly accessed?: number;
  readonly modified?: number;
}

export function readAttributes(fields: FieldReader): Attributes {
  const flags = fields.u32();
  const attributes: Attributes = {
    ...((flags & SIZE) !== 0 ? { size: fields.u64() } : {}),
    ...((flags & OWNER) !== 0 ? { owner: [fields.u32(), fields.u32()] as const } : {}),
    ...((flags & PERMISSIONS) !== 0 ? { permissions: fields.u32() } : {}),
    ...((flags & TIMES) !== 0 ? { accessed: fields.u32(), modified: fields.u32() } : {}),
  };
  if ((flags & EXTENDED) !== 0) {
    for (let left = fields.u32(); left > 0; left -= 1) {
      fields.bytes();
      fields.bytes();
    }
  }
  return attributes;
}

/** Only what is given is set. Never the type, and never setuid, setgid or sticky. */
export function encodeAttributes(attributes: Attributes): { readonly raw: Buffer } {
  const { size, permissions, modified } = attributes;
  const raw = Buffer.alloc(24);
  let flags = 0;
  let at = 4;
  if (size !== undefined) {
    flags |= SIZE;
    at = raw.writeBigUInt64BE(BigInt(size), at);
  }
  if (permissions !== undefined) {
    flags |= PERMISSIONS;
    at = raw.writeUInt32BE(permissions & 0o777, at);
  }
  if (modified !== undefined) {
    flags |= TIMES;
    at = raw.writeUInt32BE(attributes.accessed ?? modified, at);
    at = raw.writeUInt32BE(modified, at);
  }
  raw.writeUInt32BE(flags, 0);
  return { raw: raw.subarray(0, at) };
}

/** What the attributes say in the contract's terms. A server that tells no type is asked about files, as a rule. */
export function statOf(attributes: Attributes): Stat {
  const { size, permissions, modified } = attributes;
  return {
    type: permissions === undefined ? 'file' : typeOf(permissions),
    size,
    modified: modified === undefined ? undefined : new Date(modified * 1000),
    mode: permissions === undefined ? undefined : permissions & 0o7777,
    version: versionOf(attributes),
  };
}

function typeOf(permissions: number): Stat['type'] {
  const type = permissions & TYPE_MASK;
  if (type === FILE) return 'file';
  if (type === DIRECTORY) return 'directory';
  return type === LINK ? 'symlink' : 'other';
}

/**
 * Modification time, size and owner: version 3 has no more (no inode, no change time). A file that is rewritten within
 * one second to the same size looks the same, which a read from one handle does not mix up.
 */
export function versionOf({ size, modified, owner }: Attributes): string | undefined {
  if (size === undefined || modified === undefined) return undefined;
  return `${modified}-${size}${owner === undefined ? '' : `-${owner.join('-')}`}`;
}
