import { join } from 'node:path';
import type { Row } from '../row.ts';
import { prepareManyHttp } from './many-http.ts';

export const smallHttp: Row = {
  name: 'small-http',
  title: '10,000 files of 10 KiB over HTTP, each with its sha256',
  async prepare(stage) {
    const many = await prepareManyHttp(stage, join(stage.directory, 'out'));
    const { bridle, bridleAsUsual, aria2, aria2Checked, rclone, curl } = many;
    return {
      contenders: [bridle, bridleAsUsual, aria2, aria2Checked, rclone, curl],
      bars: [{ contender: bridle.name, against: [aria2.name], speed: 1.2 }],
      mostMemory: 150,
      ...many.contest,
    };
  },
};
