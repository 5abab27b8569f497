import { type DavVisit, multistatus, XML } from './scripted.ts';

/** A small WebDAV server in memory; `fault` may answer in its place by returning true. */
export function memory(fault: (visit: DavVisit, files: Map<string, Buffer>) => unknown = () => undefined) {
  const files = new Map<string, Buffer>();
  const script = async (visit: DavVisit): Promise<void> => {
    if (await fault(visit, files)) return;
    const { method, path, answer, request, response } = visit;
    const file = files.get(path);
    if (method === 'PUT') {
      if (request.headers.expect !== undefined) response.writeContinue();
      files.set(path, await visit.body());
      answer(201);
    } else if (method === 'PROPFIND') {
      await visit.body();
      if (path === '/d/') answer(207, multistatus(['/d/']), XML);
      else if (file) answer(207, multistatus([path, file.length]), XML);
      else answer(404);
    } else if (method === 'MOVE') {
      const to = String(request.headers.destination).replace(/^http:\/\/[^/]*/, '');
      if (!file) answer(404);
      else if (files.has(to) && request.headers.overwrite === 'F') answer(412);
      else {
        files.delete(path);
        files.set(to, file);
        answer(201);
      }
    } else if (method === 'DELETE') answer(files.delete(path) ? 204 : 404);
    else if (!file) answer(404);
    else {
      const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(String(request.headers.range)) ?? [];
      const start = Number(from ?? 0);
      const end = to ? Math.min(Number(to) + 1, file.length) : file.length;
      const range = { 'content-range': `bytes ${start}-${end - 1}/${file.length}` };
      response.writeHead(from ? 206 : 200, { 'content-length': end - start, ...(from ? range : {}) });
      response.end(method === 'HEAD' ? undefined : file.subarray(start, end));
    }
  };
  return { files, script };
}
