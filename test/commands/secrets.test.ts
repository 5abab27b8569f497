import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, ended, entry, scratch, start, untilSent } from './run-command.ts';

/** In every secret below, in the clear, as Basic sends it, and percent-encoded. */
const MARK = 'MARKED-secret/1';
const FORMS = [MARK, encodeURIComponent(MARK), Buffer.from(`joe:${MARK}`).toString('base64')];

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** Every byte of every file below, but what the test itself wrote. */
function filesBelow(directory: string, own: readonly string[]): string {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((name) => !own.includes(name) && statSync(join(directory, name)).isFile())
    .map((name) => `${name}\n${readFileSync(join(directory, name), 'latin1')}`)
    .join('\n');
}

interface Kind {
  readonly url: (url: string) => string;
  readonly env?: (cwd: string) => Record<string, string>;
  /** What the server must have been shown, so that the test proves something. */
  readonly shown: (request: {
    readonly headers: Readonly<Record<string, unknown>>;
    readonly target: string;
  }) => unknown;
}

const CREDENTIALS = 'credentials.conf';
/** Options that name a file, and the files. */
const WRITTEN = ['report', 'events', 'receipts', 'write-checksums', 'blocks'];

const KINDS: Readonly<Record<string, Kind>> = {
  userinfo: {
    url: (url) => url.replace('//', `//joe:${encodeURIComponent(MARK)}@`),
    shown: ({ headers }) => headers.authorization,
  },
  'a presigned query': {
    url: (url) => `${url}?X-Amz-Signature=${encodeURIComponent(MARK)}&part=1`,
    shown: ({ target }) => target,
  },
  'a header of the credentials file': {
    url: (url) => url,
    env: (cwd) => {
      writeFileSync(join(cwd, CREDENTIALS), `[127.0.0.1]\nheader.X-Token = ${MARK}\n`);
      return { PEGASUS_CREDENTIALS: join(cwd, CREDENTIALS) };
    },
    shown: ({ headers }) => headers['x-token'],
  },
  'a bearer token': {
    url: (url) => url,
    env: () => ({ BEARER_TOKEN: MARK }),
    shown: ({ headers }) => headers.authorization,
  },
};

describe.each(Object.entries(KINDS))('P10 S5 %s', (_, kind) => {
  async function prepare() {
    const cwd = scratch();
    // The section names host and port.
    server = await startMisbehaving({
      content: { size: 20_000_000 },
      steps: [
        { script: 'F2', times: 1 },
        { script: 'F11', times: 1 },
      ],
    });
    const env = kind.env?.(cwd) ?? {};
    if (env.PEGASUS_CREDENTIALS) {
      const path = env.PEGASUS_CREDENTIALS;
      writeFileSync(path, readFileSync(path, 'utf8').replace('127.0.0.1', new URL(server.url).host));
      chmodSync(path, 0o600);
    }
    return { cwd, env, running: server };
  }

  test.each(['bridle', 'pegasus-transfer'] as const)(
    'is in nothing that %s says or writes',
    async (program) => {
      const { cwd, env, running } = await prepare();
      const list = [
        entry(kind.url(running.url), `file://${cwd}/out/a`, { lfn: 'a', generate_checksum: true }),
        entry(kind.url(running.url), `file://${cwd}/proc/../list/a`, { lfn: 'b' }),
        entry(`file://${cwd}/out`, kind.url(running.url.replace('data', 'put')), { lfn: 'c' }),
        entry(`file://${cwd}/list`, kind.url(running.url.replace('data/file.bin', 'put/d')), { lfn: 'd' }),
        entry(kind.url(running.url), 'gopher://nowhere/a'),
      ];
      writeFileSync(join(cwd, 'list'), '');
      const args =
        program === 'bridle'
          ? ['transfer', '--debug', ...WRITTEN.flatMap((name) => [`--${name}`, name])]
          : ['--debug'];
      const parts = { PEGASUS_MULTIPART_DIR: cwd, KICKSTART_INTEGRITY_DATA: join(cwd, 'blocks') };
      const { status, stdout, stderr } = await bridle(args, {
        cwd,
        env: { ...env, ...parts },
        program,
        input: JSON.stringify(list),
      });
      expect(status).toBe(1);
      expect(
        FORMS.some((form) => running.requests.some((request) => String(kind.shown(request)).includes(form))),
      ).toBe(true);
      const everything = stdout + stderr + filesBelow(cwd, [CREDENTIALS]);
      if (program === 'bridle') {
        for (const name of WRITTEN) expect(readFileSync(join(cwd, name), 'utf8')).not.toBe('');
        // Of what went to the service: its URL is the name, without the secret in it.
        expect(readFileSync(join(cwd, 'write-checksums'), 'utf8')).toContain(new URL(running.url).host);
      }
      for (const form of FORMS) expect(everything).not.toContain(form);
    },
  );

  test('is in no journal of an interrupted transfer', async () => {
    const { cwd, env } = await prepare();
    await server?.close();
    server = await startMisbehaving({ content: { size: 64 * 1024 * 1024 }, rate: 24 * 1024 * 1024 });
    const running = server;
    const child = start(['transfer'], { cwd, env });
    const end = ended(child);
    child.stdin?.end(JSON.stringify([entry(kind.url(running.url), `file://${cwd}/big`)]));
    await untilSent(running, 20_000_000, end);
    child.kill('SIGTERM');
    const { stderr } = await end;
    const everything = stderr + filesBelow(cwd, [CREDENTIALS]);
    expect(everything).toContain('journal');
    for (const form of FORMS) expect(everything).not.toContain(form);
  });
});

test.each([
  ['dry-run', ['cp', '--dry-run', 'URL', 'a']],
  ['stat', ['stat', 'URL']],
  ['stat --json', ['stat', '--json', 'URL']],
  ['a URL that does not parse', ['cp', 'URL#fragment', 'a']],
  ['ls', ['ls', 'URL/']],
  ['rm', ['rm', 'URL']],
])('P10 %s shows no password', async (_, args) => {
  server = await startMisbehaving();
  const url = `${server.url.replace('//', `//joe:${MARK.replace('/', '')}@`)}?sig=${encodeURIComponent(MARK)}`;
  const { stdout, stderr } = await bridle(
    args.map((arg) => arg.replace('URL', url)),
    { cwd: scratch() },
  );
  expect(stdout + stderr).not.toContain('MARKED');
});
