import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { end, putImage, putSif, sha256 } from '../../fixtures/misbehaving/registry.ts';
import { makeSif } from '../image/made-sif.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, scratch } from './run-command.ts';

afterEach(closeScene);

const SIF = makeSif(Buffer.alloc(300_000, 'partition '));
const INDEX = 'application/vnd.oci.image.index.v1+json';

async function host() {
  const started = await registry();
  const made = putSif(started, { repository: 'a/tool', tag: '1' }, SIF);
  return { ...started, made, name: `oras://${started.authority}/a/tool:1` };
}

describe('a SIF file of a registry', () => {
  test('is pulled as it is, under its own name where none is given, and tells what the tag stands for', async () => {
    const { name, made } = await host();
    const cwd = scratch();
    const pulled = await bridle(['image', 'pull', name], { cwd });
    expect(pulled).toMatchObject({ status: 0, stderr: '' });
    expect(pulled.stdout).toBe(`${name}@${made.digest}\n  ${made.content}, 324 KiB → tool_1.sif (sif)\n`);
    expect(readFileSync(join(cwd, 'tool_1.sif')).equals(SIF)).toBe(true);
    const json = await bridle(['image', 'pull', '--json', `${name}@${made.digest}`, 'sif:a.sif'], { cwd });
    expect(JSON.parse(json.stdout)).toMatchObject({
      digest: made.digest,
      content: made.content,
      format: 'sif',
      bytes: SIF.length,
    });
  });

  test('is a source of transfers, and its digest stands in report and receipt', async () => {
    const { name, made } = await host();
    const cwd = scratch();
    mkdirSync(join(cwd, 'in'));
    const args = ['cp', '-q', '--report', 'r.json', '--receipts', 'receipts', name, 'in/'];
    expect(await bridle(args, { cwd })).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'in/tool_1.sif')).equals(SIF)).toBe(true);
    const [item] = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')).outcomes;
    expect(item.notes).toEqual([`SIF file ${made.content} of ${made.digest}`]);
    const receipt = JSON.parse(readFileSync(join(cwd, 'receipts'), 'utf8'));
    expect(receipt).toMatchObject({
      digests: { sha256: made.content.slice(7) },
      verification: { source: { grade: 'server', by: 'manifest', value: made.digest.slice(7) } },
      versions: { source: `sif ${made.content} of ${made.digest}` },
    });
    const pinned = ['cp', '-q', '--require', 'source=end-to-end', `${name}@${made.digest}`, 'a.sif'];
    expect(await bridle(pinned, { cwd })).toMatchObject({ status: 0, stderr: '' });
    expect(await bridle(pinned.with(-2, name), { cwd })).toMatchObject({ status: 1 });
  });

  test('is taken by lists for `singularity` and without a type, and refused as anything else', async () => {
    const { name } = await host();
    const cwd = scratch();
    const list = (type?: string) =>
      JSON.stringify([
        {
          type: 'transfer',
          src_urls: [{ site_label: 'local', url: name }],
          dest_urls: [{ site_label: 'local', url: `file://${cwd}/${type}`, ...(type ? { type } : {}) }],
        },
      ]);
    const program = 'pegasus-transfer';
    for (const type of ['singularity', undefined]) {
      expect(await bridle([], { cwd, program, input: list(type) })).toMatchObject({ status: 0 });
      expect(readFileSync(join(cwd, String(type))).equals(SIF)).toBe(true);
    }
    const refused = await bridle(['-m', '1'], { cwd, program, input: list('docker') });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('a SIF file cannot be had as `docker`: it has no layers');
    expect(readdirSync(cwd)).not.toContain('docker');
  });

  test('S8 P1 that is another one than its manifest says never appears', async () => {
    const { name, made, blobs } = await host();
    const wrong = Buffer.from(SIF);
    wrong[200_000]! ^= 1;
    blobs.set(made.content, wrong);
    const cwd = scratch();
    for (const args of [
      ['cp', '-q', '-m', '1', name, 'a.sif'],
      ['image', 'pull', name, 'a.sif'],
      ['image', 'verify', name],
    ]) {
      const { status, stdout, stderr } = await bridle(args, { cwd });
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toContain(made.content.slice(7));
    }
    expect(readdirSync(cwd).filter((one) => one.endsWith('.sif'))).toEqual([]);
  });

  test('S8 whose manifest is not the one of the pin is refused', async () => {
    const { name, made, manifests } = await host();
    const key = `a/tool/${made.digest}`;
    const kept = manifests.get(key)!;
    manifests.set(key, { ...kept, bytes: Buffer.concat([kept.bytes, Buffer.from(' ')]) });
    const { status, stderr } = await bridle(['image', 'inspect', `${name}@${made.digest}`], {
      cwd: scratch(),
    });
    expect(status).toBe(1);
    expect(stderr).toContain(`asked for \`${made.digest}\``);
  });

  test('is told from an image of layers, and the other way round', async () => {
    const { name, authority, ...started } = await host();
    putImage({ ...started, authority }, { repository: 'a/tool', tag: 'image' }, [Buffer.alloc(512)]);
    const cwd = scratch();
    const layers = await bridle(['image', 'pull', `oras://${authority}/a/tool:image`], { cwd });
    expect(layers.status).toBe(1);
    expect(layers.stderr).toMatch(/it is a container image, not a SIF file\nhint: .*`docker:\/\/…`/);
    const sif = await bridle(['image', 'pull', name.replace('oras:', 'docker:'), 'x.tar'], { cwd });
    expect(sif.status).toBe(1);
    expect(sif.stderr).toMatch(/a SIF file kept in a registry, not a container image\nhint: .*`oras:\/\/…`/);
    expect(readdirSync(cwd).filter((one) => one.startsWith('x'))).toEqual([]);
  });

  test('of tools of old is known by its layer', async () => {
    const started = await registry();
    const layerType = 'appliciation/vnd.sylabs.sif.layer.tar';
    putSif(started, { repository: 'old', tag: '1' }, SIF, { configType: 'application/x.unknown', layerType });
    const cwd = scratch();
    const name = `${started.authority}/old:1`;
    expect(await bridle(['image', 'pull', `oras://${name}`, 'a.sif'], { cwd })).toMatchObject({ status: 0 });
    expect((await bridle(['image', 'inspect', name], { cwd })).stderr).toContain('a SIF file kept in');
  });

  test('for several platforms is chosen by platform, and what there is is told', async () => {
    const started = await registry();
    const other = makeSif(Buffer.from('other'));
    const [here, there] = [SIF, other].map((file, index) =>
      putSif(started, { repository: 'a/b', tag: `${index}` }, file),
    );
    const entry = (architecture: string, { digest, size }: { digest: string; size: number }) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size,
      platform: { os: 'linux', architecture },
    });
    const manifests = [entry('amd64', here!), entry('s390x', there!)];
    const top = started.putManifest('a/b', 'all', INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
    const cwd = scratch();
    const args = ['image', 'pull', '--platform'];
    const name = `oras://${started.authority}/a/b:all`;
    const pulled = await bridle([...args, 'linux/s390x', '--json', name, 'a.sif'], { cwd });
    expect(JSON.parse(pulled.stdout)).toMatchObject({ digest: top.digest, content: there!.content });
    expect(readFileSync(join(cwd, 'a.sif')).equals(other)).toBe(true);
    const refused = await bridle([...args, 'linux/riscv64', name, 'b.sif'], { cwd });
    expect(refused.stderr).toMatch(/nothing for linux\/riscv64\nhint: it has linux\/amd64, linux\/s390x\n/);
  });

  test('F1 F2 that breaks off is gone on with in its middle', async () => {
    let cuts = 2;
    const started = await registry(({ url, range }, response) => {
      if (!url.includes('/blobs/') || cuts === 0) return false;
      cuts -= 1;
      const start = Number(/\d+/.exec(range ?? '0')?.[0]);
      const headers: Record<string, string | number> = { 'content-length': SIF.length - start };
      if (start > 0) headers['content-range'] = `bytes ${start}-${SIF.length - 1}/${SIF.length}`;
      response.writeHead(start > 0 ? 206 : 200, headers);
      response.write(SIF.subarray(start, start + 100_000), () => response.destroy());
      return true;
    });
    putSif(started, { repository: 'a', tag: '1' }, SIF);
    const cwd = scratch();
    const copied = await bridle(['cp', '-q', '-m', '1', `oras://${started.authority}/a:1`, 'a.sif'], { cwd });
    expect(copied).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'a.sif')).equals(SIF)).toBe(true);
    const ranges = started.asked.filter(({ url }) => url.includes('/blobs/')).map(({ range }) => range);
    expect(ranges).toEqual([undefined, 'bytes=100000-', 'bytes=200000-']);
  });

  test.each([
    [401, 'wants a login'],
    [403, 'refuses it without a login'],
    [404, 'there is no `1`'],
  ])('F13 S5 a refusal with %i is told as what it is', async (status, problem) => {
    const started = await registry((_, response) => {
      end(response, status, {}, '{"errors":[{"code":"DENIED","message":"no"}]}');
      return true;
    });
    const { stderr, ...ended } = await bridle(['image', 'pull', `oras://${started.authority}/a:1`], {
      cwd: scratch(),
    });
    expect(ended.status).toBe(1);
    expect(stderr).toContain(problem);
  });

  test('is inspected and verified without being kept, and compared with a file', async () => {
    const { name, made } = await host();
    const cwd = scratch();
    const inspected = await bridle(['image', 'inspect', '--json', name], { cwd });
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      name,
      pinned: `${name}@${made.digest}`,
      digest: made.digest,
      content: made.content,
      title: 'made.sif',
      size: SIF.length,
    });
    expect((await bridle(['image', 'inspect', name], { cwd })).stdout).toContain(
      `content     ${made.content}\n`,
    );
    writeFileSync(join(cwd, 'same.sif'), SIF);
    writeFileSync(join(cwd, 'other.sif'), makeSif(Buffer.from('other')));
    const verified = await bridle(['image', 'verify', name], { cwd });
    expect(verified.stdout).toBe(
      `${name}: ${made.content}, 324 KiB: it has the digest that the service tells\n`,
    );
    expect((await bridle(['image', 'verify', 'same.sif', name], { cwd })).stdout).toContain(
      'the same as oras:',
    );
    const other = await bridle(['image', 'verify', name, 'other.sif'], { cwd });
    expect([other.status, other.stdout]).toEqual([1, '']);
    expect(other.stderr).toContain(`it is \`${made.content}\`, \`other.sif\` is`);
    const doctor = await bridle(['doctor', name], { cwd });
    expect(doctor).toMatchObject({ status: 0 });
    expect(doctor.stdout.replaceAll(/\s+/g, ' ')).toContain(
      `name ${name}@${made.digest} digest ${made.digest}`,
    );
  });

  test.each([
    [['pull', '--format', 'oci'], 'expected `sif`, got `oci`'],
    [['pull', '--format', 'hybrid'], 'expected `sif`, got `hybrid`'],
    [['inspect', '--format', 'sif'], '`bridle image inspect` has no use for it'],
  ])('%j is refused as wrong usage', async (args, problem) => {
    const { status, stderr } = await bridle(['image', ...args, 'oras://host.example/a/b:1'], {
      cwd: scratch(),
    });
    expect(status).toBe(2);
    expect(stderr).toContain(problem);
  });
});

describe('a SIF file that is pushed', () => {
  test('is what apptainer keeps: one titled layer and an empty configuration, the same each time', async () => {
    const started = await registry();
    const cwd = scratch();
    writeFileSync(join(cwd, 'tool.sif'), SIF);
    const name = `oras://${started.authority}/a/pushed:1`;
    const pushed = await bridle(['image', 'push', 'tool.sif', name], { cwd });
    const kept = started.manifests.get('a/pushed/1')!;
    expect(pushed).toMatchObject({ status: 0, stderr: '' });
    expect(pushed.stdout).toBe(`${name}@${sha256(kept.bytes)}\n  ${sha256(SIF)}, 324 KiB sent\n`);
    expect([kept.type, JSON.parse(kept.bytes.toString())]).toEqual([
      'application/vnd.oci.image.manifest.v1+json',
      {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.sylabs.sif.config.v1+json',
          digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
          size: 2,
          data: 'e30=',
        },
        layers: [
          {
            mediaType: 'application/vnd.sylabs.sif.layer.v1.sif',
            digest: sha256(SIF),
            size: SIF.length,
            annotations: { 'org.opencontainers.image.title': 'tool.sif' },
          },
        ],
        annotations: { 'org.opencontainers.image.created': '2024-01-02T00:00:00Z' },
      },
    ]);
    const again = await bridle(['image', 'push', '--json', 'tool.sif', name], { cwd });
    expect(JSON.parse(again.stdout)).toMatchObject({ digest: sha256(kept.bytes), sent: 0, skipped: 2 });
    expect(await bridle(['image', 'verify', 'tool.sif', name], { cwd })).toMatchObject({ status: 0 });
  });

  test('is not taken for an image, nor an image for it, and what is cut is none', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'tool.sif'), SIF);
    writeFileSync(join(cwd, 'cut.sif'), SIF.subarray(0, 100_000));
    writeFileSync(join(cwd, 'image.tar'), Buffer.alloc(10_240));
    const push = async (file: string, name: string) => {
      const { status, stderr } = await bridle(['image', 'push', file, name], { cwd });
      return `${status} ${stderr}`;
    };
    expect(await push('tool.sif', 'docker://host.example/a/b:1')).toMatch(
      /^2 bridle: `tool.sif` is a SIF file.*\nhint: .*`oras:\/\/host.example\/a\/b:1`/,
    );
    expect(await push('image.tar', 'oras://host.example/a/b:1')).toMatch(
      /^2 bridle: `image.tar` is no SIF file.*\nhint: .*`docker:\/\/host.example\/a\/b:1`/,
    );
    expect(await push('cut.sif', 'oras://host.example/a/b:1')).toContain('no whole SIF file');
  });
});
