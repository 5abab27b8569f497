// A process of its own that transfers what its parent says, one message at a time.
import { transfer } from '../../dist/index.js';

process.on('message', async ({ source, destination, checksums }) => {
  const at = (path) => [{ site_label: 'local', url: `file://${path}` }];
  const entry = { type: 'transfer', src_urls: at(source), dest_urls: at(destination) };
  const { outcomes } = await transfer([entry], { checksums });
  const { status, failure } = outcomes[0];
  process.send({ status, message: failure?.message });
});
process.send({ status: 'ready' });
