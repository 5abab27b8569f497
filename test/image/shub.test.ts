import { afterEach, describe, expect, test } from 'vitest';
import { end } from '../../fixtures/misbehaving/registry.ts';
import { type SifServices, startSifServices } from '../../fixtures/misbehaving/sif-services.ts';
import { parseShubReference, SINGULARITY_HUB } from '../../src/image/sif-service/reference.ts';
import { findInHub } from '../../src/image/sif-service/shub.ts';
import type { HttpClient } from '../../src/protocol.ts';
import { closeAll, makeClient, never } from '../http/scripted.ts';
import { collect, refusalOf } from './scene.ts';

let service: SifServices | undefined;
afterEach(async () => {
  await closeAll();
  await service?.close();
});

/** A client that finds another server in the place of Singularity Hub. */
function clientOf({ url }: SifServices): HttpClient {
  const client = makeClient();
  return {
    ...client,
    send: (request) => client.send({ ...request, url: request.url.replace(SINGULARITY_HUB, url) }),
  };
}

async function findAt(name: string, started: SifServices) {
  const call = { http: clientOf(started), base: SINGULARITY_HUB, signal: never };
  return findInHub(parseShubReference(name), call);
}

describe('Singularity Hub', () => {
  test('is asked as apptainer asks it', async () => {
    const started = await startSifServices();
    service = started;
    started.setScript(({ url }, response) => {
      const told = JSON.stringify({ image: `${SINGULARITY_HUB}/image`, version: 'of its own' });
      if (url === '/image') end(response, 200, {}, 'image');
      else end(response, 200, { 'content-type': 'application/json' }, told);
      return true;
    });
    const found = await findAt('shub://lab/tool', started);
    const { bytes } = await found.open({ signal: never });
    expect((await collect(bytes)).toString()).toBe('image');
    expect(started.asked.map(({ url }) => url)).toEqual(['/api/container/lab/tool:latest', '/image']);
    expect(found.digest).toBeUndefined();
  });

  test.each([
    [404, 'application/json'],
    [410, 'text/plain'],
    [200, 'text/html; charset=utf-8'],
  ])('that answers %i as %s is closed, which is no matter of trying again', async (status, type) => {
    const started = await startSifServices();
    service = started;
    started.setScript((_, response) => {
      end(response, status, { 'content-type': type }, '<html>');
      return true;
    });
    expect(await refusalOf(findAt('shub://lab/tool', started))).toMatch(
      /^not-found: .*Singularity Hub was closed in 2021 and gives no images any more \| look for the image as/,
    );
  });

  test('S3 sends nobody on by http', async () => {
    const started = await startSifServices();
    service = started;
    started.setScript((_, response) => {
      const told = JSON.stringify({ image: 'http://elsewhere.example/image' });
      end(response, 200, { 'content-type': 'application/json' }, told);
      return true;
    });
    expect(await refusalOf(findAt('shub://lab/tool', started))).toContain(
      'permission-denied: pull `shub://lab/tool:latest`: refused to be sent on by http',
    );
  });
});
