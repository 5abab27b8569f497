import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { findFreePorts } from '../fixtures/servers/ports.ts';

test('no port is given twice, though nobody listens on it yet', async () => {
  const given = (await Promise.all(Array.from({ length: 20 }, () => findFreePorts(10)))).flat();
  expect(new Set(given).size).toBe(200);
  expect(Math.max(...given)).toBeLessThan(32_768);
});

test('a port that somebody listens on is not given', async () => {
  const [first = 0] = await findFreePorts(1);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(first, '127.0.0.1', resolve));
  try {
    for (let round = 0; round < 20; round += 1) expect(await findFreePorts(5)).not.toContain(first);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
