import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Brings dist up to date: launchers and worker threads run from there. */
export default function build(): void {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const { status } = spawnSync(process.execPath, ['build.mjs', '--if-missing'], { cwd, stdio: 'inherit' });
  if (status !== 0) process.stderr.write('tests: the build failed; what runs from dist is older than src\n');
}
