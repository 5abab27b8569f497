import { plainReplicaReader } from './catalog-yaml-plain.ts';
import { readDigests, sha256ToWrite } from './digest-text.ts';
import { checked } from './lines.ts';
import { type ManifestFormat, type ManifestItem, type Said, wrong } from './manifest.ts';
import { sizeOf } from './meta.ts';
import { decodeDocument, fieldsOf, malformed, refused } from './text.ts';

const MOST_BYTES = 64 * 1024 * 1024;
/** Characters that are made a tree of at a time: that costs a hundred times their length. */
const PIECE = 64 * 1024;
/** What stands in one piece however it is written: no part of a list in blocks comes near. */
const LONGEST_PIECE = 16 * 1024 * 1024;
/** Comparisons of keys a character: those of maps with fewer keys than eight times this. */
const COMPARISONS = 64;
const SITE = 'local';

/**
 * Pegasus's replica catalog in YAML (rc-5.0.yml): `pegasus: "5.0"`, `replicas`, each with `lfn`, `pfns` of `site` and
 * `pfn`, `checksum` and `metadata`. Its schema has sha256 alone, so nothing else is written. Every scalar is read as
 * text: a digest may look like a number.
 */
export const catalogYaml: ManifestFormat = {
  name: 'catalog-yaml',
  text: "Pegasus's replica catalog, YAML (sha256 only when written)",
  parse: parseCatalog,
  write: () => {
    let isEmpty = true;
    return {
      begin: () => 'pegasus: "5.0"\nreplicas:',
      entry: (entry) => {
        const { name, size, places = [name] } = entry;
        const pfns = places.map((place) => `\n      - site: ${SITE}\n        pfn: ${scalar(place)}`).join('');
        const metadata = size === undefined ? '' : `\n    metadata:\n      size: ${size}`;
        const sum = `\n    checksum:\n      sha256: "${sha256ToWrite(entry)}"`;
        isEmpty = false;
        return `\n  - lfn: ${scalar(name)}\n    pfns:${pfns}${sum}${metadata}`;
      },
      end: () => (isEmpty ? ' []\n' : '\n'),
    };
  },
};

async function parseCatalog(bytes: Uint8Array): Promise<Iterable<ManifestItem>> {
  const text = decodeDocument(bytes, MOST_BYTES);
  const { isScalar, parseDocument } = await import('yaml');
  /** All scalars text, no tags, no aliases: a few lines of those unfold to more than any memory. */
  const load = (piece: string): unknown => {
    let comparisons = 0;
    const document = parseDocument(piece, {
      schema: 'failsafe',
      resolveKnownTags: false,
      // Without a word about tags; `silent` would let a second document pass.
      logLevel: 'error',
      prettyErrors: false,
      // The square of the number of keys in one map.
      uniqueKeys: (one, other) => {
        if (++comparisons > COMPARISONS * piece.length) throw refused('a map has too many keys');
        return isScalar(one) && isScalar(other) && one.value === other.value;
      },
    });
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS({ maxAliasCount: 0 });
  };
  return readPieces(text, load);
}

function* readPieces(text: string, load: (piece: string) => unknown): Generator<ManifestItem> {
  // A flow that was cut lacks its bracket; a block lacks the end of its last line.
  const whole = text.trimEnd();
  const mayBeCut = !text.slice(whole.length).includes('\n') && !/[}\]]$/.test(whole);
  let count = 0;
  for (const { piece, said: one, isLast } of piecesOf(text)) {
    if (one !== undefined) {
      const where = `replicas[${count++}]`;
      const said = one === 'nothing' ? undefined : checked(one);
      if (said) yield { ...said, where };
      continue;
    }
    if (piece.length > LONGEST_PIECE)
      throw refused(`expected a list in blocks, got ${piece.length} bytes of flow`);
    const replicas = replicasOf(piece, load);
    for (const [index, replica] of replicas.entries()) {
      const where = `replicas[${count++}]`;
      const said = checked(readReplica(fieldsOf(replica)));
      if (!said) continue;
      if (mayBeCut && isLast && index === replicas.length - 1) {
        yield { where, problem: 'the last line has no end: the manifest may be cut' };
      } else yield { ...said, where };
    }
  }
}

function replicasOf(piece: string, load: (piece: string) => unknown): readonly unknown[] {
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = fieldsOf(load(piece));
  } catch (error) {
    throw malformed('YAML', error);
  }
  const { replicas } = fields;
  // An empty list may be written as nothing at all.
  if (replicas === '' || replicas === null) return [];
  if (!Array.isArray(replicas)) throw refused('expected a list as `replicas`');
  return replicas;
}

interface Piece {
  /** A document with a part of the list. */
  readonly piece: string;
  /** Instead: what one replica of the usual form says. */
  readonly said?: Said | 'nothing';
  readonly isLast: boolean;
}

/**
 * The document in pieces. Cut where `replicas:` is followed by a list in blocks, at lines that begin with the dash of its
 * first item: what belongs to an item, of whatever style, is indented deeper (YAML 1.2.2 §8.2.1). Anything else, as a list
 * that is not the last field, stays in one piece.
 */
function* piecesOf(text: string): Generator<Piece> {
  const list = /^replicas[ \t]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)-[ \t\r\n]/m.exec(
    text,
  );
  const first = list ? list.index + list[0].length : 0;
  if (!list || /[\r\n][^\s#-]/.test(text.slice(first))) {
    yield { piece: text, isLast: true };
    return;
  }
  const indent = list[1] ?? '';
  const dash = `\n${indent}- `;
  const read = plainReplicaReader(indent);
  // Up to the first dash: what comes before the list has to be right, too.
  let pending = text.slice(0, first - 2 - indent.length);
  for (let start = pending.length; start < text.length; ) {
    const cut = text.indexOf(dash, start + indent.length) + 1;
    const end = cut > 0 ? cut : text.length;
    const item = text.slice(start, end);
    const said = read(item);
    if (pending !== '' && (said !== undefined || pending.length > PIECE)) {
      yield { piece: pending, isLast: false };
      pending = '';
    }
    if (said !== undefined) yield { piece: '', said, isLast: false };
    else pending = `${pending === '' ? 'replicas:\n' : pending}${item}`;
    start = end;
  }
  if (pending !== '') yield { piece: pending, isLast: true };
}

/**
 * A replica without a checksum says nothing here, and a pattern is no file. Before 5.0 was released there was one `pfn`
 * and `checksum.value`, as in the file form.
 */
function readReplica(replica: Readonly<Record<string, unknown>>): Said | undefined {
  const { lfn: name, pfns, pfn, regex, checksum, metadata } = replica;
  if (typeof name !== 'string') return wrong('expected text as `lfn`');
  const spelled = Object.entries(fieldsOf(checksum));
  const { 'checksum.type': type = 'sha256', 'checksum.value': value } = replica;
  if (value !== undefined) spelled.push([String(type), value]);
  if (spelled.length === 0) return undefined;
  if (regex === 'true') return wrong('a pattern is the name of no file', name);
  const texts = spelled.map(
    ([algorithm, each]) => [algorithm, typeof each === 'string' ? each : ''] as const,
  );
  const digests = readDigests(texts);
  if (typeof digests === 'string') return wrong(digests, name);
  const places = (Array.isArray(pfns) ? pfns.map((each) => fieldsOf(each).pfn) : [pfn]).filter(
    (place) => typeof place === 'string',
  );
  return { name, digests, places, ...sizeOf(fieldsOf(metadata).size) };
}

const ESCAPED: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};
/** What is no printable character to YAML 1.1, in which Pegasus reads (its §5.1), and what breaks lines there. */
const TO_ESCAPE = /["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]/g;

function scalar(text: string): string {
  return `"${text.replace(TO_ESCAPE, (each) => ESCAPED[each] ?? `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}
