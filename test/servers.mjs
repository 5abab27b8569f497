// Which servers of the tests are here, and their installation on Debian.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LIST = fileURLToPath(new URL('../fixtures/servers/packages.json', import.meta.url));
/** Debian asks this program before it starts a service; 101 is `no` (invoke-rc.d(8)). */
const POLICY = '/usr/sbin/policy-rc.d';

/** The servers of `packages.json` whose program is not here. */
export function missingServers() {
  const list = JSON.parse(readFileSync(LIST, 'utf8'));
  return Object.entries(list)
    .map(([name, entry]) => ({ name, ...entry }))
    .filter(({ program, file }) => !hasProgram(program) || (file !== undefined && !existsSync(file)));
}

function hasProgram(program) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder || '.', program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Installs them where that is ours to do: on Debian, as root. No service is started by it. */
export function installMissing(missing) {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) return;
  const packages = missing.flatMap((server) => server.packages);
  process.stdout.write(`installing for the tests: ${packages.join(' ')}\n`);
  const restore = forbidServices();
  // Synchronous from here on, so that no signal of ours comes between and leaves the policy behind.
  try {
    const install = ['install', '--yes', '--no-install-recommends', ...packages];
    if (aptGet(install) !== 0) {
      aptGet(['update']);
      aptGet(install);
    }
  } finally {
    restore();
  }
}

function aptGet(args) {
  const { status, stderr } = spawnSync('apt-get', ['-qq', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status !== 0) process.stderr.write(stderr ?? '');
  return status;
}

function forbidServices() {
  const before = existsSync(POLICY)
    ? { text: readFileSync(POLICY), mode: statSync(POLICY).mode & 0o7777 }
    : undefined;
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
  chmodSync(POLICY, 0o755);
  return () => {
    if (!before) return rmSync(POLICY, { force: true });
    writeFileSync(POLICY, before.text);
    chmodSync(POLICY, before.mode);
  };
}
