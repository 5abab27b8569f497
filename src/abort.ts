const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` once when the signal aborts (at once when it has); the returned function takes that back. Thousands
 * wait on one signal here: it gets one listener, and leaving costs the same however many others wait. (Removing one of
 * n listeners from an AbortSignal itself takes n steps.)
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  let waiting = listeners.get(signal);
  if (!waiting) {
    const made = new Set<() => void>();
    listeners.set(signal, made);
    signal.addEventListener('abort', () => callAll(made), { once: true });
    waiting = made;
  }
  const mine = waiting;
  mine.add(callback);
  return () => void mine.delete(callback);
}

function callAll(waiting: Set<() => void>): void {
  const callbacks = [...waiting];
  waiting.clear();
  for (const callback of callbacks) callback();
}
