// node test/torture/run.mjs [--runs 1000] [--rounds 10] [--fuzz 20] [--seed N] [--parallel 2] [--size MIB] [--large MIB] [--directory DIR] [--roots DIR]
import { loadTypescript } from './load.mjs';

const { tortureMain } = await loadTypescript(new URL('torture.ts', import.meta.url));
process.exitCode = await tortureMain(process.argv.slice(2));
