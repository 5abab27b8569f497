import { parseJson } from '../../image/documents.ts';
import { readContents, type SifContents } from '../../image/sif/contents.ts';
import { lookInside, type SifInside } from '../../image/sif/inside.ts';
import { PRIMARY_SYSTEM } from '../../image/sif/layout.ts';
import { readSif, type Sif, typeName } from '../../image/sif/read.ts';
import { formatSize, plural, safeText } from '../../report/format.ts';
import type { Work } from './tools.ts';

interface Looked {
  readonly name: string;
  readonly sif: Sif;
  readonly contents: SifContents;
  /** Undefined where nothing here can look into the file system. */
  readonly inside: SifInside | undefined;
}

/** `bridle image inspect` of a SIF file of this machine. */
export async function inspectSifFile(path: string, name: string, work: Work): Promise<void> {
  const { values, io, signal } = work;
  const sif = await readSif(path);
  const contents = await readContents(path, sif);
  const partition = primaryOf(sif);
  const inside =
    sif.superblock && partition
      ? await lookInside(path, partition, { programs: io.env.PATH ?? '', signal })
      : undefined;
  const looked = { name, sif, contents, inside };
  io.out(values.json ? `${JSON.stringify(described(looked))}\n` : lines(looked));
}

const primaryOf = ({ objects }: Sif) => objects.find(({ partition }) => partition?.kind === PRIMARY_SYSTEM);

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  1: 'squashfs',
  2: 'ext3',
  3: 'archive',
  4: 'raw',
  5: 'encrypted squashfs',
};

function fileSystemOf(sif: Sif): string {
  return FILE_SYSTEMS[primaryOf(sif)?.partition?.fileSystem ?? 0] ?? 'unknown';
}

const timeOf = (seconds: number): string | undefined => {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace('.000Z', 'Z');
};

const labelsOf = ({ contents, inside }: Looked): Readonly<Record<string, string>> => ({
  ...contents.labels,
  ...inside?.labels,
});

function described(looked: Looked) {
  const { name, sif, contents, inside } = looked;
  const { header, architecture, objects, superblock } = sif;
  return {
    name,
    keptAs: 'sif',
    architecture,
    created: timeOf(header.created),
    partition: { fileSystem: fileSystemOf(sif), bytes: primaryOf(sif)?.size, squashfs: superblock },
    objects: objects.map(({ id, type, name: own, offset, size }) => ({
      id,
      type: typeName(type) ?? type,
      name: own,
      offset,
      size,
    })),
    definition: contents.definition,
    imageId: contents.config?.digest,
    configuration: contents.config && parseJson(contents.config.bytes, 'the configuration'),
    labels: labelsOf(looked),
    ...(inside
      ? {
          runscript: inside.hasRunscript,
          startscript: inside.hasStartscript,
          environment: inside.environment,
        }
      : {}),
    signatures: { count: contents.signatures, checked: false },
  };
}

function lines(looked: Looked): string {
  const { name, sif, contents, inside } = looked;
  const { header, architecture, objects, superblock } = sif;
  const has = (is: boolean) => (is ? 'there' : 'none');
  const unseen = inside
    ? undefined
    : 'not looked at: `unsquashfs` is not in PATH, or the file system is no squashfs';
  const { signatures } = contents;
  const size = formatSize(primaryOf(sif)?.size ?? 0);
  const packed = superblock ? `, ${superblock.compression}, ${plural(superblock.inodes, 'inode')}` : '';
  const rows: [string, string | undefined][] = [
    ['name', name],
    ['kept as', 'sif'],
    ['processor', architecture ?? 'not told'],
    ['created', timeOf(header.created)],
    ['partition', `${fileSystemOf(sif)}, ${size}${packed}`],
    ['image id', contents.config?.digest],
    ['signatures', signatures === 0 ? 'none' : `${signatures}, not checked: \`apptainer verify\` does`],
    ['runscript', unseen ?? has(inside?.hasRunscript ?? false)],
    ['variables', unseen ?? (inside?.environment.join(', ') || 'none')],
    ...Object.entries(labelsOf(looked)).map(([label, text]): [string, string] => [
      'label',
      `${label}: ${text}`,
    ]),
    ['made by', contents.definition === undefined ? 'no definition file in it' : undefined],
  ];
  const shown = rows.flatMap(([label, text]) =>
    text === undefined ? [] : [`${label.padEnd(12)}${safeText(text)}\n`],
  );
  const definition = (contents.definition?.trimEnd().split('\n') ?? []).map(
    (line, at) => `${(at === 0 ? 'made by' : '').padEnd(12)}${safeText(line)}\n`,
  );
  const table = objects.map(({ id, type, name: own, offset, size: bytes }) => {
    const what = `${typeName(type) ?? `type ${type}`}${own === '' ? '' : ` ${safeText(own)}`}`;
    return `  ${String(id).padStart(2)}  ${what.padEnd(24)} at ${String(offset).padEnd(10)} ${formatSize(bytes).padStart(9)}\n`;
  });
  return [...shown, ...definition, ...table].join('');
}
