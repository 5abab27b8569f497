import { onAbort } from './abort.ts';
import { TransferError } from './errors.ts';

/** What one attempt needs, all at once: a slot of the run, and one at each host. */
export interface Permits {
  /** Resolves with what gives everything back. Rejects with `canceled`, holding nothing. */
  acquire(hosts: readonly string[], signal: AbortSignal): Promise<() => void> | (() => void);
}

interface Waiting {
  readonly hosts: readonly string[];
  readonly grant: () => void;
}

/**
 * Slots taken all or nothing, so that neither starving nor deadlock is possible: who waits for a busy host holds no
 * slot. Among those that could run, the one that waited longest runs.
 */
export function createPermits(limits: { readonly threads: number; readonly perHost: number }): Permits {
  const busy = new Map<string, number>();
  /** One queue per set of hosts: only its head needs to be looked at. */
  const queues = new Map<string, { readonly order: number; readonly waiting: Waiting }[]>();
  let slots = limits.threads;
  let order = 0;

  const fits = (hosts: readonly string[]) =>
    slots > 0 && hosts.every((host) => host === 'local' || (busy.get(host) ?? 0) < limits.perHost);
  const take = (hosts: readonly string[]) => {
    slots -= 1;
    for (const host of hosts) busy.set(host, (busy.get(host) ?? 0) + 1);
  };
  const release = (hosts: readonly string[]) => {
    slots += 1;
    for (const host of hosts) {
      const left = (busy.get(host) ?? 1) - 1;
      if (left === 0) busy.delete(host);
      else busy.set(host, left);
    }
    wake();
  };
  const releaser = (hosts: readonly string[]) => {
    let held = true;
    return () => {
      if (held) release(hosts);
      held = false;
    };
  };
  function wake(): void {
    while (slots > 0) {
      let best: { readonly key: string; readonly order: number } | undefined;
      for (const [key, queue] of queues) {
        const head = queue[0];
        if (head && fits(head.waiting.hosts) && (!best || head.order < best.order))
          best = { key, order: head.order };
      }
      if (!best) return;
      const queue = queues.get(best.key);
      const next = queue?.shift();
      if (queue?.length === 0) queues.delete(best.key);
      if (!next) return;
      take(next.waiting.hosts);
      next.waiting.grant();
    }
  }

  return {
    acquire(hosts, signal) {
      if (signal.aborted) return Promise.reject(canceled());
      const unique = [...new Set(hosts)];
      const key = unique.join(' ');
      if (!queues.has(key) && fits(unique)) {
        take(unique);
        return releaser(unique);
      }
      return new Promise((resolve, reject) => {
        const queue = queues.get(key) ?? [];
        queues.set(key, queue);
        const forget = onAbort(signal, () => {
          const at = queue.indexOf(entry);
          if (at >= 0) queue.splice(at, 1);
          if (queue.length === 0 && queues.get(key) === queue) queues.delete(key);
          reject(canceled());
        });
        const grant = () => {
          forget();
          resolve(releaser(unique));
        };
        const entry = { order: order++, waiting: { hosts: unique, grant } };
        queue.push(entry);
      });
    },
  };
}

function canceled(): TransferError {
  return new TransferError('canceled', 'wait for a free slot: canceled');
}

/** A number of bytes lent out in turn; a loan larger than the whole budget counts as the whole. */
export function createBudget(total: number): {
  lend(bytes: number, signal: AbortSignal): Promise<() => void> | (() => void);
} {
  let free = total;
  const queue: { readonly bytes: number; readonly grant: () => void }[] = [];
  const wake = () => {
    while (queue[0] && queue[0].bytes <= free) {
      const next = queue.shift();
      if (!next) return;
      free -= next.bytes;
      next.grant();
    }
  };
  const giver = (bytes: number) => {
    let held = true;
    return () => {
      if (held) free += bytes;
      held = false;
      wake();
    };
  };
  return {
    lend(wanted, signal) {
      const bytes = Math.min(wanted, total);
      if (queue.length === 0 && bytes <= free) {
        free -= bytes;
        return giver(bytes);
      }
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(canceled());
        const forget = onAbort(signal, () => {
          queue.splice(queue.indexOf(entry), 1);
          reject(canceled());
          // The one behind may need less.
          wake();
        });
        const entry = {
          bytes,
          grant: () => {
            forget();
            resolve(giver(bytes));
          },
        };
        queue.push(entry);
      });
    },
  };
}
