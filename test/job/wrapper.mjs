// node wrapper.mjs MODE RESULT PROGRAM [ARGUMENT...]
// Starts a program with the standard streams of this process, and writes what became of it to RESULT. The variable ADD is
// an entry for the program's environment that nobody else has.
import { writeFileSync } from 'node:fs';
import { loadTypescript } from '../torture/load.mjs';

const load = (name) => loadTypescript(new URL(`../../src/job/${name}.ts`, import.meta.url));
const [, , wish, result, ...words] = process.argv;
const { openLauncher } = await load('launch');
const { rawEnvironment, rawArguments } = await load('raw-process');
const { mode, launch } = openLauncher(wish);
const args = rawArguments().slice(-words.length);

async function run() {
  const [file] = args;
  const { ADD } = process.env;
  const mark = ADD === undefined ? undefined : Buffer.from(ADD);
  const environment = [
    ...rawEnvironment().filter((entry) => !`${entry}`.startsWith('ADD=')),
    ...(mark ? [mark] : []),
  ];
  const job = { file, args, environment, stdio: [0, 1, 2], mark };
  try {
    const running = await launch(job);
    return await running.ended;
  } catch ({ code, message, cause }) {
    return { code, message, errno: cause?.errno, cause: cause?.code };
  }
}

writeFileSync(result, JSON.stringify({ mode, ...(await run()) }));
