import type { Row } from '../row.ts';
import { bigHttp } from './big-http.ts';
import { bigLocal } from './big-local.ts';
import { davDown, davSmall, davUp } from './dav.ts';
import { digestBig, digestEight, digestFour, digestSmall, verifyOne } from './digests.ts';
import { diskBig, diskSmall } from './disk.ts';
import { gsUp, gsUpFar } from './gs.ts';

import { imageFlatten, imageSif } from './image.ts';
import { imageMany, imageMemory, imagePull, imagePullSif, imageWarm } from './images.ts';
import { jobClock, jobUsage } from './job-usage.ts';
import { jobInputs, jobMany, jobPrint, jobTrue } from './jobs.ts';
import { million } from './million.ts';
import { missing } from './missing.ts';
import { s3BigDown, s3BigUp, s3SmallDown, s3SmallUp } from './s3.ts';
import { s3Dav } from './s3-dav.ts';
import { sftpDown, sftpDownGcm, sftpUp, sftpUpGcm } from './sftp.ts';
import { sftpFarDown, sftpFarUp } from './sftp-far.ts';
import { smallHttp } from './small-http.ts';
import { smallLocal } from './small-local.ts';
import { startHttp, startLocal, startVersion } from './start.ts';
import { startProtocols } from './start-protocols.ts';
import { zstdRate } from './zstd-rate.ts';

/** Every row, in the order of the table. */
export const ROWS: readonly Row[] = [
  startVersion,
  startLocal,
  startHttp,
  missing,
  smallLocal,
  smallHttp,
  bigHttp,
  bigLocal,
  diskSmall,
  diskBig,
  million,
  verifyOne,
  digestBig,
  digestEight,
  digestFour,
  digestSmall,
  jobTrue,
  jobPrint,
  jobMany,
  jobInputs,
  sftpUp,
  sftpDown,
  sftpUpGcm,
  sftpDownGcm,
  sftpFarUp,
  sftpFarDown,
  davUp,
  davDown,
  davSmall,
  startProtocols,
  s3SmallUp,
  s3SmallDown,
  s3BigUp,
  s3BigDown,
  gsUp,
  gsUpFar,
  s3Dav,
  jobUsage,
  jobClock,
  imageFlatten,
  imageSif,
  imagePull,
  imagePullSif,
  imageMemory,
  imageWarm,
  imageMany,
  zstdRate,
];
