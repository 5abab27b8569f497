import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a cache keeps was compared long ago, so that it is compared again before it is used. */
export function ageSeals(cache: string): void {
  const content = join(cache, 'content');
  for (const name of readdirSync(content).filter((one) => one.endsWith('.json'))) {
    const path = join(content, name);
    const note = JSON.parse(readFileSync(path, 'utf8'));
    chmodSync(path, 0o600);
    writeFileSync(path, JSON.stringify({ ...note, seal: { ...note.seal, proven: 0 } }));
  }
}
