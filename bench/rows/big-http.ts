import { join } from 'node:path';
import type { Row } from '../row.ts';
import { prepareOneHttp } from './one-http.ts';

const GIB = 1024 ** 3;

export const bigHttp: Row = {
  name: 'big-http',
  title: 'one file of 4 GiB over HTTP with its sha256',
  async prepare(stage) {
    const one = await prepareOneHttp(stage, join(stage.directory, 'out'), stage.quick ? GIB / 4 : 4 * GIB);
    const { bridle, curl, curlChecked, rclone } = one;
    return {
      contenders: [bridle, curl, curlChecked, rclone],
      bars: [
        { contender: bridle.name, against: [curl.name], speed: 0.9 },
        { contender: bridle.name, against: [curlChecked.name], speed: 1.3 },
      ],
      mostMemory: 150,
      ...one.contest,
    };
  },
};
