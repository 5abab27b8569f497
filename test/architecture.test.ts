import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const CONTRACT =
  /^src\/(protocol|context|partial-name|errors|location|outcome|slabs|abort|regular-file|safe-text|shell-word)\.ts$/;
/** Who writes: part of every name that only we make. */
const WRITER = /^src\/local\/writer\.ts$/;
const REQUESTS = /^src\/(request|plan)\.ts$/;
const EXPECTED = /^src\/integrity\/expected\.ts$/;
const NODE = /^node:/;
const below = (folder: string) => new RegExp(`^${folder}/`);

interface Rule {
  readonly of: RegExp;
  readonly may: readonly RegExp[];
  /** Only by `import()`. */
  readonly lazily?: readonly RegExp[];
  /** Beats `may`. */
  readonly never?: readonly RegExp[];
}

/** Who may import what. The first row that a file fits is its own; a file that fits none is a violation. */
const RULES: readonly Rule[] = [
  // What a cache is; how it is kept stays with it.
  { of: /^src\/context\.ts$/, may: [CONTRACT, /^src\/cache\/cache\.ts$/] },
  { of: CONTRACT, may: [CONTRACT] },
  { of: REQUESTS, may: [CONTRACT, REQUESTS, EXPECTED] },
  { of: /^src\/list(\.ts|\/)/, may: [CONTRACT, REQUESTS, EXPECTED, below('src/list'), NODE] },
  {
    of: below('protocols'),
    may: [
      CONTRACT,
      below('src/http'),
      below('src/local'),
      below('src/dav'),
      below('src/gcs'),
      below('src/ftp'),
      below('src/sftp'),
      below('src/s3'),
      below('src/image'),
      /^src\/integrity\/digests\.ts$/,
      NODE,
    ],
  },
  { of: below('src/dav'), may: [CONTRACT, WRITER, below('src/http'), below('src/dav'), NODE] },
  {
    of: below('src/gcs'),
    may: [CONTRACT, below('src/http'), below('src/gcs'), /^src\/integrity\/digests\.ts$/, NODE],
  },
  { of: below('src/sftp'), may: [CONTRACT, WRITER, below('src/sftp'), NODE] },
  { of: below('src/http'), may: [CONTRACT, below('src/http'), NODE] },
  {
    of: below('src/s3'),
    may: [CONTRACT, below('src/http'), below('src/s3'), /^src\/integrity\/digests\.ts$/, NODE],
  },
  { of: below('src/integrity'), may: [CONTRACT, below('src/integrity'), NODE] },
  { of: below('src/ftp'), may: [CONTRACT, WRITER, below('src/http'), below('src/ftp'), NODE] },
  { of: below('src/local'), may: [CONTRACT, below('src/local'), NODE] },
  {
    of: below('src/cache'),
    may: [
      CONTRACT,
      below('src/cache'),
      below('src/local'),
      /^src\/clock\.ts$/,
      /^src\/integrity\/hasher\.ts$/,
      NODE,
    ],
  },
  {
    of: /^src\/(layers|stages|clock|permits|limiter|breaker|abort)\.ts$/,
    may: [CONTRACT, below('src/integrity'), /^src\/(layers|clock|permits|abort)\.ts$/, NODE],
  },
  { of: /^src\/registry\.ts$/, may: [CONTRACT], lazily: [below('protocols')] },
  {
    of: below('src/credentials'),
    // Whose login is wanted is told by the name of an image.
    may: [
      CONTRACT,
      below('src/integrity'),
      below('src/credentials'),
      /^src\/image\/(sif-service\/)?reference\.ts$/,
      NODE,
    ],
  },
  {
    of: below('src/report'),
    may: [CONTRACT, below('src/integrity'), below('src/report'), WRITER, NODE],
  },
  {
    of: /^src\/(job|image)\//,
    may: [below('src'), NODE],
    never: [/^src\/(commands|report|credentials)\//, /^src\/index\.ts$/],
  },
  { of: below('src/commands'), may: [below('src'), /^package\.json$/, NODE], never: [/^src\/index\.ts$/] },
  {
    of: /^src\/(index\.ts$|library\/)/,
    may: [below('src'), /^package\.json$/, NODE],
    never: [below('src/commands')],
  },
  // The engine and its parts.
  {
    of: /^src\/[^/]+\.ts$/,
    may: [below('src'), NODE],
    never: [/^src\/(commands|report|credentials)\//, /^src\/index\.ts$/],
  },
];

/** Who may import a package; no package is for everyone. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  undici: below('src/http'),
  '@aws-sdk/core': below('src/credentials'),
  '@aws-sdk/credential-provider-node': below('src/credentials'),
  '@smithy/shared-ini-file-loader': below('src/credentials'),
  'fast-xml-parser': /^src\/(dav|s3|integrity\/manifests|job\/reading)\//,
  yaml: /^src\/(integrity\/manifests\/|job\/reading\/|credentials\/libraries\.ts$)/,
  'hash-wasm': below('src/integrity'),
  'google-auth-library': below('src/credentials'),
  'basic-ftp': below('src/ftp'),
  'p-limit': /^(src|protocols)\//,
  koffi: /^src\/job\/libc\.ts$/,
  ssh2: /^src\/sftp\/ssh2\.ts$/,
  'zstddec/stream': /^src\/image\/layers\/zstd\.ts$/,
};

/** Files longer than 300 lines, and why they are. */
const LONG: Readonly<Record<string, string>> = {};

interface Import {
  readonly specifier: string;
  readonly dynamic: boolean;
}

/** Every import of a module: static, re-exports, types, and `import()` of a literal. */
function importsOf(text: string): Import[] {
  const found: Import[] = [];
  // A path in a constant of the module is as good as a literal.
  const constants = new Map<string, string>();
  walk(text, (node) => {
    if (ts.isVariableDeclaration(node) && node.initializer && ts.isStringLiteralLike(node.initializer)) {
      constants.set(node.name.getText(), node.initializer.text);
    }
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      found.push({ specifier: literal(node.moduleSpecifier), dynamic: false });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      found.push({ specifier: literal(node.argument.literal), dynamic: false });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      found.push({
        specifier: constants.get(node.arguments[0]?.getText() ?? '') ?? literal(node.arguments[0]),
        dynamic: true,
      });
    }
  });
  return found;
}

function literal(node: ts.Node | undefined): string {
  return node && ts.isStringLiteralLike(node) ? node.text : '(computed)';
}

function walk(text: string, visit: (node: ts.Node) => void): void {
  const step = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, step);
  };
  step(ts.createSourceFile('module.ts', text, ts.ScriptTarget.Latest, true));
}

/** What the rules forbid `file` to import, one line each. */
function forbiddenImports(file: string, text: string): string[] {
  const rule = RULES.find(({ of }) => of.test(file));
  if (!rule) return [`${file}: no rule says what it may import`];
  return importsOf(text).flatMap(({ specifier, dynamic }) => {
    const target = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier;
    return isAllowed(rule, file, target, dynamic)
      ? []
      : [`${file} → ${target}${dynamic ? ' by import()' : ''}`];
  });
}

function isAllowed(rule: Rule, file: string, target: string, dynamic: boolean): boolean {
  const fits = (patterns: readonly RegExp[] | undefined) =>
    patterns?.some((pattern) => pattern.test(target)) ?? false;
  if (fits(rule.never)) return false;
  if (fits(rule.may) || (dynamic && fits(rule.lazily))) return true;
  const name = Object.keys(PACKAGES).find((known) => target === known || target.startsWith(`${known}/`));
  return name !== undefined && (PACKAGES[name]?.test(file) ?? false);
}

const OUTSIDE = new Set(['env', 'argv', 'exit', 'exitCode', 'stdout', 'stderr', 'stdin']);

/** Where a module reaches for what is handed to it by the commands: the environment, the arguments, the terminal. */
function reachesOutside(text: string): string[] {
  const found: string[] = [];
  walk(text, (node) => {
    if (!ts.isIdentifier(node) || (node.text !== 'process' && node.text !== 'console')) return;
    const { parent } = node;
    // A property or a name that happens to be called so.
    if (ts.isPropertyAccessExpression(parent) && parent.name === node) return;
    if ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) && parent.name === node) return;
    if (node.text === 'console') found.push('console');
    else if (!ts.isPropertyAccessExpression(parent)) found.push('process');
    else if (OUTSIDE.has(parent.name.text)) found.push(`process.${parent.name.text}`);
  });
  for (const { specifier } of importsOf(text))
    if (/^(node:)?(process|console)$/.test(specifier)) found.push(specifier);
  return found;
}

/** Words that belong to one machine or to how this came about, not to the project. Cut in two, to be no such word here. */
const FOREIGN = [new RegExp(['/wo', 'rk(?![\\w-])'].join('')), new RegExp(['npm', 'js\\.org'].join(''))];
const LEFT_OUT = new Set(['node_modules', 'dist', '.git', 'example-output', 'coverage']);

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (LEFT_OUT.has(entry.name) || entry.isSymbolicLink()) return [];
    return entry.isDirectory() ? filesBelow(path) : [relative('.', path)];
  });
}

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const modules = [...filesBelow('src'), ...filesBelow('protocols')].filter((file) => file.endsWith('.ts'));

describe('the house', () => {
  test('holds no import that the table forbids', () => {
    expect(modules.flatMap((file) => forbiddenImports(file, read(file)))).toEqual([]);
  });

  test('reads environment and arguments, and writes to the terminal, in commands only', () => {
    const inside = modules.filter((file) => !file.startsWith('src/commands/'));
    // The one protocol whose files are the standard streams themselves.
    const others = inside.filter((file) => file !== 'protocols/stdio.ts');
    expect(others.flatMap((file) => reachesOutside(read(file)).map((what) => `${file}: ${what}`))).toEqual(
      [],
    );
  });

  test('has no file over 300 lines without a reason', () => {
    const files = [...modules, ...filesBelow('fixtures'), ...filesBelow('bin'), ...filesBelow('bench')];
    const code = files.filter((file) => /\.(ts|mjs|sh)$|^bin\//.test(file));
    const long = code.filter((file) => read(file).split('\n').length > 301);
    expect(long.filter((file) => LONG[file] === undefined)).toEqual([]);
  });

  test('speaks of itself alone', () => {
    const strangers = filesBelow('.').flatMap((file) => {
      const text = readFileSync(join(ROOT, file), 'latin1');
      return FOREIGN.filter((word) => word.test(text)).map((word) => `${file}: ${word.source}`);
    });
    expect(strangers).toEqual([]);
  });

  test('locks its packages to no registry', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved": "http/);
    expect(read('.npmrc')).not.toMatch(/registry *=|_auth|\/\//);
  });
});

describe('the watchman', () => {
  test('sees every form of import', () => {
    const text = `
      import a, { b } from './a.ts';
      import type { C } from './c.ts';
      import './side.ts';
      export * from './e.ts';
      export { f } from './f.ts';
      let g: import('./g.ts').G;
      const h = () => import('./h.ts');
      const path: string = './i.ts';
      const i = import(path);
      const j = import(name);
      // import './comment.ts';
      const text = "import './string.ts'";`;
    expect(importsOf(text)).toEqual([
      ...['./a.ts', './c.ts', './side.ts', './e.ts', './f.ts', './g.ts'].map((specifier) => ({
        specifier,
        dynamic: false,
      })),
      { specifier: './h.ts', dynamic: true },
      { specifier: './i.ts', dynamic: true },
      { specifier: '(computed)', dynamic: true },
    ]);
  });

  test.each([
    ['protocols/http.ts', "import '../src/engine.ts'"],
    ['protocols/http.ts', "import './file.ts'"],
    ['protocols/http.ts', "import 'undici'"],
    ['src/errors.ts', "import 'node:fs'"],
    ['src/plan.ts', "import 'node:fs'"],
    ['src/plan.ts', "import type { Engine } from './engine.ts'"],
    ['src/http/client.ts', "import '../engine.ts'"],
    ['src/layers.ts', "import './engine.ts'"],
    ['src/engine.ts', "import '../protocols/file.ts'"],
    ['src/engine.ts', "import './report/progress.ts'"],
    ['src/engine.ts', "const c = () => import('./commands/transfer.ts')"],
    ['src/engine.ts', "export * from './index.ts'"],
    ['src/registry.ts', "import '../protocols/file.ts'"],
    ['src/registry.ts', "import './engine.ts'"],
    ['src/report/json.ts', "import '../engine.ts'"],
    ['src/credentials/netrc.ts', "import '../report/json.ts'"],
    ['src/job/run.ts', "import '../../protocols/file.ts'"],
    ['src/index.ts', "import './commands/transfer.ts'"],
    ['src/commands/transfer.ts', "import '../../protocols/file.ts'"],
    ['src/commands/transfer.ts', "import 'chalk'"],
    ['lib/stray.ts', ''],
  ])('finds what `%s` must not have: `%s`', (file, text) => {
    expect(forbiddenImports(file, text)).toHaveLength(1);
  });

  test.each([
    ['src/registry.ts', "const p = () => import('../protocols/file.ts')"],
    ['src/http/control.ts', "const u = () => import('undici/lib/dispatcher/pool.js')"],
    ['protocols/http.ts', "import { a } from '../src/http/client.ts'; import fs from 'node:fs'"],
    ['src/engine.ts', "import './stream.ts'; import './http/client.ts'"],
  ])('lets `%s` have `%s`', (file, text) => {
    expect(forbiddenImports(file, text)).toEqual([]);
  });

  test.each([
    ['const a = process.env.HOME', ['process.env']],
    ['const { env } = process', ['process']],
    ["process['exit'](1)", ['process']],
    ['console.log(1)', ['console']],
    ["import { argv } from 'node:process'", ['node:process']],
    ['const pid = process.pid; const a = { process: 1 }; a.process; // process.env', []],
  ])('tells of `%s`: %j', (text, found) => {
    expect(reachesOutside(text)).toEqual(found);
  });
});
