import { join } from 'node:path';
import type { Contender, Row } from '../row.ts';
import { prepareManyHttp } from './many-http.ts';
import { prepareOneHttp } from './one-http.ts';

const GIB = 1024 ** 3;

/** Peers end when the kernel has the bytes; bridle when the disk has them. Only what is on the disk is compared. */
function synced(contender: Contender): Contender {
  const { name, words, output = '.' } = contender;
  return {
    ...contender,
    name: `${name}, then sync`,
    words: ['sh', '-c', `${words.join(' ')} && sync -f ${output}`],
  };
}

export const diskSmall: Row = {
  name: 'disk-small',
  title: '10,000 files of 10 KiB over HTTP to the disk, each with its sha256',
  async prepare(stage) {
    const many = await prepareManyHttp(stage, join(stage.disk, 'out'));
    const { bridle, bridleAsUsual, aria2, rclone, curl } = many;
    return {
      contenders: [bridle, bridleAsUsual, synced(aria2), synced(rclone), synced(curl)],
      bars: [],
      mostMemory: 150,
      ...many.contest,
    };
  },
};

export const diskBig: Row = {
  name: 'disk-big',
  title: 'one file of 2 GiB over HTTP to the disk with its sha256',
  async prepare(stage) {
    const one = await prepareOneHttp(stage, join(stage.disk, 'out'), stage.quick ? GIB / 8 : 2 * GIB);
    const { bridle, curl, aria2, rclone } = one;
    return {
      contenders: [bridle, synced(curl), synced(aria2), synced(rclone)],
      bars: [],
      mostMemory: 150,
      ...one.contest,
    };
  },
};
