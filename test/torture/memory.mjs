// node test/torture/memory.mjs [--size MIB] [--pairs s3-dav,sftp-s3,...]
import { loadTypescript } from './load.mjs';

const { memoryMain } = await loadTypescript(new URL('memory-pairs.ts', import.meta.url));
process.exitCode = await memoryMain(process.argv.slice(2));
