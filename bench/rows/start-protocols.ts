import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Contender, Contest, Row } from '../row.ts';
import type { Stage } from '../stage.ts';
import { NODE } from './node.ts';

/** Files of dist, which are named for their protocols. */
const PROTOCOLS = ['http', 'webdav', 'sftp', 's3', 'gs', 'ftp'];
/** Seconds that a protocol may take beyond what its packages take by themselves. */
const MOST = 0.12;

export const startProtocols: Row = {
  name: 'start-protocols',
  title: 'node with one protocol loaded, and with nothing but the packages that loading it loads',
  runs: 11,
  prepare: async (stage) => prepare(stage),
};

function prepare(stage: Stage): Contest {
  const dist = join(dirname(stage.bridle), '..', 'dist');
  const files = readdirSync(dist);
  const contenders: Contender[] = [NODE];
  const bars: Contest['bars'][number][] = [];
  for (const protocol of PROTOCOLS) {
    const file = files.find((name) => name.startsWith(`${protocol}-`) && name.endsWith('.js'));
    if (file === undefined) throw new Error(`${protocol} is not in dist`);
    const packages = packagesOf(join(dist, file));
    contenders.push(imports(protocol, [join(dist, file)]));
    if (packages.length > 0) contenders.push(imports(packages.join(', '), packages));
    const against = [packages.length > 0 ? packages.join(', ') : NODE.name];
    bars.push({ contender: protocol, against, longer: MOST });
  }
  return { contenders: contenders.filter(isFirst), bars };
}

/** Packages are found from here, so these programs run where they are. */
function imports(name: string, modules: readonly string[]): Contender {
  const code = modules.map((module) => `import ${JSON.stringify(module)};`).join('\n');
  return { name, words: [process.execPath, '--input-type=module', '-e', code] };
}

function isFirst({ name }: Contender, index: number, all: readonly Contender[]): boolean {
  return all.findIndex((other) => other.name === name) === index;
}

/** What a built file and those it imports load from elsewhere, but for what is loaded later or is node's. */
function packagesOf(entry: string): string[] {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const walk = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(
      /^(?:import|export)\b[^;]*?"([^"\n]+)";$/gm,
    )) {
      if (name.startsWith('.')) walk(join(dirname(path), name));
      else if (!name.startsWith('node:')) packages.add(name);
    }
  };
  walk(entry);
  return [...packages].sort();
}
