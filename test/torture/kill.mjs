// node test/torture/kill.mjs [--runs 1000] [--seed N] [--parallel 2] [--subject http,local,webdav,sftp,s3,gs,ftp,image-…] [--direction up,down] [--size MIB] [--directory DIR]
import { loadTypescript } from './load.mjs';

const { killMain } = await loadTypescript(new URL('kill.ts', import.meta.url));
process.exitCode = await killMain(process.argv.slice(2));
