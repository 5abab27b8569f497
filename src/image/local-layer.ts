import { skipping } from '../skipping.ts';
import type { FetchableLayer } from './blob-store.ts';
import type { Layer } from './image.ts';
import { startSeen, verified } from './verified.ts';

/** A layer of a file on this machine, for those who fetch layers: what is in front of `start` is read and left out. */
export function fetchable(layer: Layer): FetchableLayer {
  const { descriptor } = layer;
  return {
    ...layer,
    async readFrom(start, signal, seen = startSeen()) {
      const rest = skipping(await layer.read(signal), start);
      return verified(rest, descriptor, `read the layer \`${descriptor.digest}\``, seen);
    },
  };
}
