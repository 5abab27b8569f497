// node bench/image-many.mjs BRIDLE NAME PORT BYTES OUTPUT MOST [kill]
// 64 pulls of one image through one cache, at a time, from a registry behind a proxy that counts. Fails when one of them
// does, or when more than MOST times BYTES came down. With `kill`, a process that fetches is killed at a random moment.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const PULLS = 64;
const [, , bridle, name, port, bytes, output, most, kill] = process.argv;
let sent = 0;

const server = createServer((client) => {
  const registry = connect(Number(port), '127.0.0.1');
  for (const [one, other] of [
    [client, registry],
    [registry, client],
  ]) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
  registry.on('data', (chunk) => {
    sent += chunk.length;
  });
  client.pipe(registry);
  registry.pipe(client);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const cache = join(output, 'cache');
const reference = name.replace(/^[^/]*/, `127.0.0.1:${server.address().port}`);
const children = new Map();
const ends = [];
for (let index = 0; index < PULLS; index++) {
  const state = join(output, 'state', String(index));
  const args = [
    'image',
    'pull',
    '-q',
    '--cache',
    cache,
    '--state',
    state,
    reference,
    join(output, `${index}.tar`),
  ];
  const child = spawn(bridle, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  children.set(child.pid, child);
  ends.push(once(child, 'exit').then(([code, signal]) => ({ code, signal })));
}

/** The third part of a claim's name tells nothing here; the second is the process id, in hexadecimal digits. */
function holders() {
  try {
    const claims = join(cache, 'claims');
    const files = readdirSync(claims).flatMap((claim) => readdirSync(join(claims, claim)));
    return files
      .map((file) => Number.parseInt(file.split('-')[1] ?? '', 16))
      .filter((pid) => children.has(pid));
  } catch {
    return [];
  }
}

let killed;
if (kill) {
  const moment = Math.random() * 0.9 * Number(bytes);
  let running = true;
  void Promise.all(ends).then(() => {
    running = false;
  });
  while (!killed && running) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (sent < moment) continue;
    const [pid] = holders();
    if (pid === undefined) continue;
    children.get(pid).kill('SIGKILL');
    killed = { pid, at: sent };
  }
}
const failed = (await Promise.all(ends)).filter(
  ({ code, signal }) => code !== 0 && !(killed && signal === 'SIGKILL'),
);
server.close();
const ratio = sent / Number(bytes);
const told = `sent ${sent} of ${bytes} (${ratio.toFixed(4)} x), failed ${failed.length}${killed ? `, killed at ${killed.at}` : ''}\n`;
process.stdout.write(told);
if (failed.length > 0 || ratio > Number(most)) {
  process.stderr.write(told);
  process.exitCode = 1;
}
