import type { ByteText } from '../../job/byte-text.ts';
import { refused } from './tree.ts';

/** What a member's name says beside naming a file (OCI image specification, `layer.md`, Whiteouts). */
export type Meaning =
  | { readonly kind: 'member' }
  /** Hides `hidden`, a file or tree of the layers below. */
  | { readonly kind: 'whiteout'; readonly parent: readonly ByteText[]; readonly hidden: ByteText }
  /** Hides all that the layers below have in `parent`. */
  | { readonly kind: 'opaque'; readonly parent: readonly ByteText[] }
  /** Bookkeeping of the file system that the layer was made with (AUFS). */
  | { readonly kind: 'ignored' };

const PREFIX = '.wh.';
const BOOKKEEPING = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

const MEMBER = { kind: 'member' } as const;
const IGNORED = { kind: 'ignored' } as const;

/** Throws `invalid-request` for a whiteout of nothing, or of what no file can be called. */
export function meaningOf(parts: readonly ByteText[], name: ByteText): Meaning {
  if (!name.includes(PREFIX)) return MEMBER;
  const last = parts.at(-1) ?? '';
  const parent = parts.slice(0, -1);
  if (last === OPAQUE) return { kind: 'opaque', parent };
  if (parts.some((part) => part.startsWith(BOOKKEEPING))) return IGNORED;
  if (!last.startsWith(PREFIX)) return MEMBER;
  const hidden = last.slice(PREFIX.length);
  if (hidden === '' || hidden === '.' || hidden === '..')
    throw refused(name, 'hides nothing that a file can be called');
  return { kind: 'whiteout', parent, hidden };
}
