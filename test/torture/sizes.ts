import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { leftBehind, makePlace, readContent } from './place.ts';
import { startProduct } from './product.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Where something changes: pages, slabs, worker threads, journals, blocks. */
const EDGES = [0, 4 * KIB, 64 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB, 24 * MIB];
const AROUND = [-4097, -1, 0, 1, 4097];

export const SIZES: readonly number[] = [
  ...new Set(EDGES.flatMap((edge) => AROUND.map((more) => edge + more)).filter((size) => size >= 0)),
].sort((a, b) => a - b);

/** How a file may go: the bytes through us with and without a digest that is known, or past us. */
const WAYS = ['http', 'http-checked', 'stream', 'stream-checked', 'copy', 'symlink'] as const;

/** Moves a file of every size every way, a few at a time and one by one; gives what did not arrive as it was. */
export async function findBySize(directory: string, seed: number): Promise<string[]> {
  const violations: string[] = [];
  const place = await makePlace(directory, 'sizes');
  const servers: MisbehavingServer[] = [];
  try {
    const entries: object[] = [];
    const digests = new Map<string, string>();
    for (const size of SIZES) {
      const content = makeContent(size, seed);
      const server = await startMisbehaving({ content: { size, seed } });
      servers.push(server);
      const source = join(directory, `source-${size}`);
      const file = await open(source, 'w');
      for (const block of content.blocks()) await file.write(block);
      await file.close();
      for (const way of WAYS) {
        const to = join(directory, 'sizes/out', `${way}-${size}`);
        digests.set(to, content.digest('sha256'));
        entries.push(
          entryOf(
            way,
            way.startsWith('http') ? server.url : `file://${source}`,
            to,
            content.digest('sha256'),
          ),
        );
      }
    }
    await writeFile(place.list, JSON.stringify(entries));
    for (const threads of ['1', '16']) {
      const args = ['transfer', '--quiet', '-n', threads, '--file', place.list, '--report', place.report];
      const ended = await startProduct(args, place.env).ended;
      if (ended.code !== 0)
        violations.push(`sizes with ${threads} threads: ended with ${ended.code}: ${ended.stderr}`);
      for (const [path, sha256] of digests) {
        // Through a link as well.
        const there = await readContent(path);
        if (there?.sha256 !== sha256)
          violations.push(`sizes with ${threads} threads: wrong content in ${path}`);
      }
      const more = (await leftBehind(place)).filter((path) => !digests.has(join(place.directory, path)));
      if (more.length > 0) violations.push(`sizes with ${threads} threads: left behind: ${more.join(', ')}`);
      const { outcomes } = JSON.parse(await readFile(place.report, 'utf8')) as { outcomes: unknown[] };
      if (outcomes.length !== entries.length)
        violations.push(`sizes: ${outcomes.length} outcomes of ${entries.length}`);
    }
  } finally {
    for (const server of servers) await server.close();
    for (const size of SIZES) await rm(join(directory, `source-${size}`), { force: true });
    await rm(place.directory, { recursive: true, force: true });
  }
  return violations;
}

function entryOf(way: (typeof WAYS)[number], from: string, to: string, sha256: string): object {
  return {
    type: 'transfer',
    lfn: to,
    linkage: 'input',
    ...(way === 'stream' ? { generate_checksum: true } : {}),
    ...(way.endsWith('-checked') ? { checksum: { sha256 } } : {}),
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'here', url: `${way === 'symlink' ? 'symlink' : 'file'}://${to}` }],
  };
}
