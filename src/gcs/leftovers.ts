import { leftoverOf, nonceOf } from '../partial-name.ts';
import type { Leftover, LeftoversCall } from '../protocol.ts';
import type { Api } from './api.ts';
import { parseHandle } from './components.ts';
import { pages } from './listing.ts';
import { forEach, removeOne } from './remove.ts';
import type { ObjectResource } from './resource.ts';

/** The components of one upload: of one write, and beside each other in a listing. */
interface Group {
  readonly folder: string;
  readonly key: string;
  readonly id: string;
  readonly objects: ObjectResource[];
}

/**
 * Components of uploads that never became one object, each upload once. Sessions are in no listing: those that are
 * written down are told by their notes, others end at the service by themselves after a week.
 */
export async function* findLeftovers(api: Api, name: string, call: LeftoversCall): AsyncGenerator<Leftover> {
  const isFolder = name === '' || name.endsWith('/');
  // What stands for a file lies beside it; what stands for a directory below it.
  const beside = name.slice(0, name.lastIndexOf('/') + 1);
  if (!isFolder) yield* groupsIn(api, `${beside}.bridle-${call.key}-`, call);
  yield* groupsIn(api, isFolder ? name : `${name}/`, call);
}

async function* groupsIn(api: Api, prefix: string, call: LeftoversCall): AsyncGenerator<Leftover> {
  let group: Group | undefined;
  for await (const { objects } of pages(api, prefix, { signal: call.signal })) {
    for (const object of objects) {
      const last = object.name.lastIndexOf('/') + 1;
      const found = leftoverOf(object.name.slice(last));
      const id = nonceOf(object.name.slice(last))?.slice(0, 8);
      if (found?.kind !== 'partial' || id === undefined) continue;
      const folder = object.name.slice(0, last);
      if (group && (group.folder !== folder || group.key !== found.key || group.id !== id)) {
        yield leftover(api, group);
        group = undefined;
      }
      group ??= { folder, key: found.key, id, objects: [] };
      group.objects.push(object);
    }
  }
  if (group) yield leftover(api, group);
}

function leftover(api: Api, { id, objects }: Group): Leftover {
  const latest = Math.max(...objects.map(({ updated }) => updated?.getTime() ?? 0));
  return {
    kind: 'partial',
    path: `/${objects[0]?.name ?? ''}`,
    size: objects.reduce((sum, { size }) => sum + (size ?? 0), 0),
    age: latest === 0 ? undefined : Math.max(0, Date.now() - latest),
    isNamedBy: (handle) => parseHandle(handle)?.id === id,
    remove: (gone) =>
      forEach(objects, async ({ name }) => {
        await removeOne(api, name, gone);
      }),
  };
}
