import { TransferError } from '../../errors.ts';
import type { Algorithm } from '../../protocol.ts';
import { digestsToWrite, findAlgorithm, readDigest, unwritable } from './digest-text.ts';
import { lineFormat } from './lines.ts';
import { type ManifestFormat, type ManifestHint, type Said, wrong } from './manifest.ts';
import { quoted } from './names.ts';
import { decodeDocument, refused } from './text.ts';

const LINE = /^[ \t]*([^ \t]+)[ \t]+\*?([^ \t].*)$/s;
const ENCODED: Readonly<Record<string, string>> = { '%': '%25', '\r': '%0D', '\n': '%0A' };
const MANIFEST = /^(tag)?manifest-([a-z0-9-]+)\.txt$/i;

/**
 * `hex  data/name` in `manifest-ALGORITHM.txt` (RFC 8493 §2.1.3): one manifest an algorithm, paths from the root of the
 * bag. A line feed, a carriage return and a percent sign are percent-encoded, and nothing else is; other percent signs
 * are themselves, as in bags made before 1.0.
 */
export const bagit: ManifestFormat = {
  name: 'bagit',
  text: 'a BagIt manifest, `manifest-ALGORITHM.txt` (--algorithm when written)',
  ...lineFormat((hint) => (line) => readLine(line, hint), { endsInName: true }),
  write: (hint) => {
    let algorithm = hint.algorithm;
    return {
      begin: () => '',
      entry: (entry) => {
        const [digest] = digestsToWrite(entry, algorithm ? { algorithm } : {});
        if (!digest) return '';
        algorithm ??= digest.algorithm;
        if (/^[ \t*]/.test(entry.name)) {
          throw unwritable(
            entry.name,
            '`bagit` has no way to write a name that begins with a space or an asterisk',
          );
        }
        return `${digest.value}  ${entry.name.replace(/[%\r\n]/g, (character) => ENCODED[character] ?? character)}\n`;
      },
      end: () => '',
    };
  },
};

function readLine(line: string, hint: ManifestHint): Said {
  const found = LINE.exec(line);
  if (!found) return wrong(`expected \`DIGEST  PATH\`, got ${quoted(line)}`);
  const [, value = '', written = ''] = found;
  const name = written.replace(/%(0a|0d|25)/gi, (code) => decodeURIComponent(code));
  if (hint.algorithm === undefined) {
    throw refused(
      'the algorithm of a BagIt manifest is in its name, `manifest-ALGORITHM.txt`: it has to be said',
    );
  }
  const digest = readDigest(hint.algorithm, value);
  return typeof digest === 'string' ? wrong(digest, name) : { name, digests: [digest] };
}

/** A manifest of a bag. */
export interface BagManifest {
  readonly fileName: string;
  readonly algorithm: Algorithm;
}

export interface Bag {
  /** Of the payload, `data/` and below: each lists all of it (RFC 8493 §2.1.3). */
  readonly payload: readonly BagManifest[];
  /** Of the other files (RFC 8493 §2.2.1). */
  readonly tags: readonly BagManifest[];
  /** Manifests of algorithms that we do not have. */
  readonly unknown: readonly string[];
}

/** The manifests of a directory with these members, if it is a bag: `bagit.txt` and a manifest make one. */
export function findBag(members: readonly string[]): Bag | undefined {
  const found = members.flatMap((fileName) => {
    const [, tag, spelled] = MANIFEST.exec(fileName) ?? [];
    if (spelled === undefined) return [];
    return [{ fileName, isOfTags: tag !== undefined, algorithm: findAlgorithm(spelled) }];
  });
  if (!members.includes('bagit.txt') || !found.some(({ isOfTags }) => !isOfTags)) return undefined;
  const known = (ofTags: boolean) =>
    found.flatMap(({ fileName, isOfTags, algorithm }) =>
      algorithm !== undefined && isOfTags === ofTags ? [{ fileName, algorithm }] : [],
    );
  const unknown = found.filter(({ algorithm }) => algorithm === undefined);
  return { payload: known(false), tags: known(true), unknown: unknown.map(({ fileName }) => fileName) };
}

/** The most that is read of a `bagit.txt`, which is two lines long. */
const LONGEST_DECLARATION = 4096;

/**
 * The version that a `bagit.txt` declares (RFC 8493 §2.1.1). Throws `invalid-request` for what declares none,
 * `unsupported` for manifests in another encoding than UTF-8.
 */
export function readBagDeclaration(bytes: Uint8Array): { readonly version: string } {
  const lines = decodeDocument(bytes, LONGEST_DECLARATION).split(/\r\n|\n|\r/);
  const [, version] = /^BagIt-Version[ \t]*:[ \t]*(\d+\.\d+)[ \t]*$/.exec(lines[0] ?? '') ?? [];
  const [, encoding] = /^Tag-File-Character-Encoding[ \t]*:[ \t]*(\S+)[ \t]*$/.exec(lines[1] ?? '') ?? [];
  if (version === undefined || encoding === undefined) {
    throw refused(`expected \`BagIt-Version: 1.0\` and \`Tag-File-Character-Encoding: UTF-8\` in bagit.txt`);
  }
  if (!/^(utf-8|us-ascii)$/i.test(encoding)) {
    throw new TransferError(
      'unsupported',
      `reading a bag: its manifests are in ${quoted(encoding)}, expected UTF-8`,
    );
  }
  return { version };
}
