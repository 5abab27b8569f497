// node bench/run.mjs [ROW...] [--runs 5] [--quick] [--memory-directory /dev/shm] [--disk-directory /tmp]
import { loadTypescript } from '../test/torture/load.mjs';

const { benchMain } = await loadTypescript(new URL('main.ts', import.meta.url));
process.exitCode = await benchMain(process.argv.slice(2));
