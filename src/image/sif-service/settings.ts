import type { Environment } from '../../request.ts';
import { baseUrl, SINGULARITY_HUB, SYLABS_LIBRARY } from './reference.ts';

/**
 * Where `library:` and `shub:` images are asked for that name no host: `BRIDLE_LIBRARY_URL` and `BRIDLE_SHUB_URL`. Throws
 * `invalid-request` for what is no base URL.
 */
export function sifSettings(env: Environment): { readonly library: string; readonly shub: string } {
  return {
    library: baseUrl('BRIDLE_LIBRARY_URL', env.BRIDLE_LIBRARY_URL, SYLABS_LIBRARY),
    shub: baseUrl('BRIDLE_SHUB_URL', env.BRIDLE_SHUB_URL, SINGULARITY_HUB),
  };
}
