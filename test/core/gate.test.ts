import { describe, expect, test } from 'vitest';
import { createGate } from '../../src/gate.ts';

const never = new AbortController().signal;

describe('a gate', () => {
  test('lets nobody through before all have come and what must be done first is done', async () => {
    const order: string[] = [];
    const gate = createGate(2, async () => void order.push('prepared'));
    const first = gate.pass(0, never).then(() => order.push('first'));
    await Promise.resolve();
    expect(order).toEqual([]);
    expect(gate.isOpen()).toBe(false);
    await Promise.all([first, gate.pass(1, never).then(() => order.push('second'))]);
    expect(order).toEqual(['prepared', 'first', 'second']);
    expect(gate.isOpen()).toBe(true);
    await gate.pass(0, never);
    expect(order).toHaveLength(3);
  });

  test('refuses all when one has failed, those that come later as well', async () => {
    const gate = createGate(3, async () => undefined);
    const first = gate.pass(0, never);
    expect(gate.shut('`b` did not arrive')).toBe(true);
    const refused = { code: 'canceled', message: 'waiting for the others: `b` did not arrive' };
    await expect(first).rejects.toMatchObject(refused);
    await expect(gate.pass(2, never)).rejects.toMatchObject(refused);
  });

  test('refuses all when what must be done first fails, and does it once', async () => {
    let times = 0;
    const gate = createGate(2, async () => {
      times += 1;
      throw new Error('it cannot be');
    });
    const both = await Promise.allSettled([gate.pass(0, never), gate.pass(1, never)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(gate.pass(0, never)).rejects.toThrow('it cannot be');
    expect(times).toBe(1);
  });

  test('who leaves has not come, and may come again', async () => {
    const gate = createGate(2, async () => undefined);
    const controller = new AbortController();
    const first = gate.pass(0, controller.signal);
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: 'canceled' });
    const second = gate.pass(1, never);
    expect(gate.isOpen()).toBe(false);
    await Promise.all([second, gate.pass(0, never)]);
    expect(gate.isOpen()).toBe(true);
  });

  test('does not wait for those who need not pass, and is not shut once it is open', async () => {
    const gate = createGate(2, async () => undefined);
    gate.excuse(1);
    await gate.pass(0, never);
    expect(gate.shut('too late')).toBe(false);
    await gate.pass(0, never);
  });
});
