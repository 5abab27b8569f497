// Builds dist/ from src/ and protocols/.
//   node build.mjs               always
//   node build.mjs --if-missing  only when a source is newer than what is there
//   node build.mjs --types       declarations for the library's users as well
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, 'dist');
const TYPES = join(DIST, 'types');
/** Written last, dated with the moment the build began: what tells whether dist is newer than its sources. */
const NODE_PATH = join(DIST, 'node-path');
const SOURCES = ['src', 'protocols', 'build.mjs', 'package.json', 'tsconfig.json'];
/** Milliseconds after which no run of an earlier build goes on loading its parts. */
const LATE = 10 * 60 * 1000;
const COMMANDS = [
  'bridle',
  'pegasus-exitcode',
  'pegasus-integrity',
  'pegasus-kickstart',
  'pegasus-s3',
  'pegasus-transfer',
];
const ENTRY_POINTS = [
  ...COMMANDS.map((command) => `src/commands/${command}-main.ts`),
  'src/index.ts',
  'src/integrity/digest-worker.ts',
  'src/integrity/hash-worker.ts',
  'src/local/store-worker.ts',
];

const began = new Date();
const flags = new Set(process.argv.slice(2));
if (flags.has('--if-missing') && isFresh()) process.exit(0);
await bundle();
if (flags.has('--types')) await declare();
await writeWhole(NODE_PATH, `${process.execPath}\n`);
await utimes(NODE_PATH, began, began);

function isFresh() {
  if (!existsSync(NODE_PATH) || readFileSync(NODE_PATH, 'utf8').trimEnd() !== process.execPath) return false;
  const built = statSync(NODE_PATH).mtimeMs;
  return SOURCES.every((source) => newest(join(ROOT, source)) < built);
}

/** Milliseconds of the latest change at or below `path`; directories count, because a removed file changes only those. */
function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs);
}

async function bundle() {
  const { build } = await loadEsbuild();
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRY_POINTS.filter((entry) => existsSync(join(ROOT, entry))),
    outdir: DIST,
    entryNames: '[name]',
    // Beside the entries, so that `./hash-worker.js` is the same file from each of them.
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.18',
    packages: 'external',
    // Beside the code, and without the comment that would make node look for them: they cost nothing at start-up.
    sourcemap: 'external',
    write: false,
    logLevel: 'warning',
  });
  const files = new Map(outputFiles.map((file) => [file.path, file.contents]));
  for (const command of COMMANDS) files.set(join(DIST, `${command}.js`), gate(command));
  // Chunks first, entries last, each renamed into place: a run that starts meanwhile sees the old build or the new.
  const isEntry = (path) => [...COMMANDS, 'index'].includes(basename(path, '.js'));
  const ordered = [...files].sort(([a], [b]) => Number(isEntry(a)) - Number(isEntry(b)));
  for (const [path, contents] of ordered) await writeWhole(path, contents);
  await sweep(new Set(files.keys()));
}

async function loadEsbuild() {
  try {
    return await import('esbuild');
  } catch (cause) {
    console.error('build: cannot load esbuild\nhint: run `npm ci` (with development dependencies) first');
    throw cause;
  }
}

/** The file that node starts with: old enough in its language to say on any node that this one is too old. */
function gate(command) {
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).engines.node.replace('>=', '');
  const [major, minor] = wanted.split('.');
  return `const [major, minor] = process.versions.node.split('.').map(Number);
if (major > ${major} || (major === ${major} && minor >= ${minor})) await import('./${command}-main.js');
else {
  process.stderr.write(\`${command}: expected node ${wanted} or newer, found \${process.versions.node} at \${process.execPath}\\nhint: set BRIDLE_NODE to a newer node\\n\`);
  process.exitCode = 127;
}
`;
}

async function writeWhole(path, contents) {
  const partial = `${path}.${process.pid}.partial`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(partial, contents);
  await rename(partial, path);
}

/** Removes what earlier builds left, but for what a run that goes on may yet load. */
async function sweep(kept) {
  for (const entry of await readdir(DIST, { withFileTypes: true })) {
    const path = join(DIST, entry.name);
    if (!entry.isFile() || path === NODE_PATH || kept.has(path)) continue;
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Number.POSITIVE_INFINITY };
    if (Date.now() - mtimeMs > LATE) await rm(path, { force: true });
  }
}

/** Emitted without a type check, which `npm run check` does: an install must not take that long. */
async function declare() {
  if (!existsSync(join(ROOT, 'src/index.ts'))) return;
  const config = join(DIST, 'types.tsconfig.json');
  const compilerOptions = {
    rootDir: '..',
    outDir: 'types',
    declaration: true,
    emitDeclarationOnly: true,
    noCheck: true,
  };
  await rm(TYPES, { recursive: true, force: true });
  await writeFile(
    config,
    JSON.stringify({ extends: '../tsconfig.json', compilerOptions, files: ['../src/index.ts'], include: [] }),
  );
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  });
  await rm(config);
}
