import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** In `node_modules`, so that packages are found from there. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/bridle/', import.meta.url));

/** Every module goes on knowing where it lies: several look for files beside themselves. */
const ownUrls = {
  name: 'own-urls',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const url = JSON.stringify(pathToFileURL(path).href);
      return { contents: text.replaceAll('import.meta.url', url), loader: 'ts' };
    });
  },
};

/** Imports a TypeScript module with all that it imports: Node 20 does not read TypeScript. */
export async function loadTypescript(url) {
  const source = fileURLToPath(url);
  const { outputFiles } = await build({
    entryPoints: [source],
    write: false,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.18',
    packages: 'external',
    plugins: [ownUrls],
  });
  const bundle = `${CACHE}${basename(source, '.ts')}-${process.pid}.mjs`;
  await mkdir(dirname(bundle), { recursive: true });
  await writeFile(bundle, outputFiles[0].contents);
  try {
    return await import(pathToFileURL(bundle).href);
  } finally {
    await rm(bundle, { force: true });
  }
}
