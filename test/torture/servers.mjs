// node test/torture/servers.mjs --roots DIR [--suites trixie,sid]
import { loadTypescript } from './load.mjs';

const { serversMain } = await loadTypescript(new URL('servers.ts', import.meta.url));
process.exitCode = await serversMain(process.argv.slice(2));
