import { safeText } from '../../report/format.ts';
import { type Listed, listPages } from '../../s3/list.ts';
import { childrenOf, textOf } from '../../s3/xml.ts';
import type { S3Work } from './run.ts';

/** `ls URL`: buckets, or every key that begins with the URL's, one a line behind a tab. */
export async function listUrl({ invocation, session, io, signal }: S3Work): Promise<void> {
  const [url = ''] = invocation.positionals;
  const { flags } = invocation;
  const show = io.outIsTerminal() ? safeText : (name: string) => name;
  const { service, bucket, key, object } = await session.target(url);
  const doing = `list \`${object.name}\``;
  if (bucket === '') {
    const answer = await service.client.sendForXml({ method: 'GET', bucket: '', signal, doing });
    for (const found of childrenOf(childrenOf(answer, 'Buckets')[0], 'Bucket')) {
      io.out(`\t${show(textOf(found, 'Name') ?? '')}\n`);
    }
    return;
  }
  const isLong = flags.has('long');
  const pages = listPages(service.client, { bucket, prefix: key, withOwner: isLong, signal, doing });
  for await (const page of pages) {
    const lines = page.map(
      (listed) => `\t${isLong ? details(listed, flags.has('human')) : ''}${show(listed.key)}\n`,
    );
    io.out(lines.join(''));
  }
}

function details({ owner, size, modified, storageClass }: Listed, isHuman: boolean): string {
  const bytes = size === undefined ? '-' : isHuman ? humanSize(size) : String(size);
  const time = modified?.toISOString().slice(0, 19).concat('Z') ?? '-';
  const columns = [
    (owner ?? '-').slice(0, 15).padEnd(15),
    bytes.padStart(13),
    time.padEnd(20),
    (storageClass ?? '-').padEnd(24),
  ];
  return `${safeText(columns.join(' '))} `;
}

const UNITS = ['B', 'K', 'M', 'G', 'T', 'P'];

function humanSize(bytes: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)}${UNITS[power]}`;
}
