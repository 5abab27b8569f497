import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { open } from '../protocols/file.ts';
import type { Subject } from './conformance.ts';

/** The local disk below `parent`, looked at with the file system's own calls. */
export async function localSubject(parent: string): Promise<Subject> {
  const root = fs.mkdtempSync(join(parent, 'bridle-conformance-'));
  const path = (name: string) => (name === '' ? root : join(root, name));
  return {
    endpoint: open(),
    path,
    look: async (name) => (fs.existsSync(path(name)) ? fs.readFileSync(path(name)) : undefined),
    put: async (name, content) => {
      fs.mkdirSync(dirname(path(name)), { recursive: true });
      fs.writeFileSync(path(name), content);
    },
    close: async () => fs.rmSync(root, { recursive: true, force: true }),
  };
}
