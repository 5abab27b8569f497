import { spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Commit and node; `+` behind a commit whose product was changed since. */
export function describeCheckout(): string {
  const git = (...words: string[]) => spawnSync('git', words, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim();
  const head = git('rev-parse', '--short', 'HEAD') || 'unknown';
  const changed = git('status', '--porcelain', 'src', 'protocols', 'bin') ? '+' : '';
  return `commit ${head}${changed}, node ${process.versions.node}`;
}

/** Processors and memory. */
export function describeMachine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

/** Brings dist up to date: the launchers run from there. */
export function buildProduct(): void {
  const { status } = spawnSync(process.execPath, ['build.mjs', '--if-missing'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('the build failed');
}
