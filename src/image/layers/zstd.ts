import { TransferError } from '../../errors.ts';

/** Bytes of output at a time. */
const OUT = 256 * 1024;

/** What `ZSTD_isError` looks for: codes are the largest numbers of a `size_t` (zstd_errors.h: fewer than 120). */
const FIRST_ERROR = 2 ** 32 - 120;

/** As much of libzstd as the package exports of it, in memory of 32 bits. */
interface Library {
  readonly memory: { readonly buffer: ArrayBuffer };
  ZSTD_createDCtx(): number;
  ZSTD_freeDCtx(context: number): number;
  ZSTD_decompressStream(context: number, output: number, input: number): number;
  malloc(size: number): number;
  free(pointer: number): void;
}

let library: Promise<Library> | undefined;

/** The package's decoder takes no part of its input later and looks at no error code: only its library is used. */
async function load(): Promise<Library> {
  const { ZSTDDecoder } = await import('zstddec/stream');
  let exports: Library | undefined;
  class Decoder extends ZSTDDecoder {
    override _init(loaded: { readonly instance: { readonly exports: Library } }): void {
      exports = loaded.instance.exports;
      super._init(loaded);
    }
  }
  await new Decoder().init();
  if (!exports) throw new TransferError('unexpected', 'loading zstddec: somebody else has loaded it before');
  return exports;
}

/**
 * What zstd data holds: any number of frames, and skippable ones (RFC 8878). Windows up to 128 MiB, which is what
 * libzstd takes unless told otherwise. Rejects with `invalid-request` when it is cut or broken, or something else lies behind.
 */
export async function* unzstd(source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  library ??= load();
  const zstd = await library;
  const context = zstd.ZSTD_createDCtx();
  const output = allocate(zstd, OUT);
  // `ZSTD_inBuffer` and `ZSTD_outBuffer`: pointer, size, position.
  const buffers = allocate(zstd, 24);
  const fields = () => new DataView(zstd.memory.buffer, buffers, 24);
  let input = 0;
  let room = 0;
  let hint = 0;
  try {
    for (;;) {
      const next = await source.next();
      if (next.done) break;
      const chunk = next.value;
      if (chunk.length > room) {
        zstd.free(input);
        input = allocate(zstd, chunk.length);
        room = chunk.length;
      }
      new Uint8Array(zstd.memory.buffer).set(chunk, input);
      const before = fields();
      before.setUint32(0, input, true);
      before.setUint32(4, chunk.length, true);
      before.setUint32(8, 0, true);
      for (let isFull = true; isFull || fields().getUint32(8, true) < chunk.length; ) {
        const given = fields();
        given.setUint32(12, output, true);
        given.setUint32(16, OUT, true);
        given.setUint32(20, 0, true);
        hint = zstd.ZSTD_decompressStream(context, buffers + 12, buffers) >>> 0;
        if (hint >= FIRST_ERROR) throw broken(`error ${2 ** 32 - hint} of zstd`);
        const made = fields().getUint32(20, true);
        // More may wait inside, though all of the input is taken.
        isFull = made === OUT;
        if (made > 0) yield new Uint8Array(zstd.memory.buffer).slice(output, output + made);
      }
    }
    if (hint !== 0) throw broken('it ends too early');
  } finally {
    for (const pointer of [input, output, buffers]) zstd.free(pointer);
    zstd.ZSTD_freeDCtx(context);
  }
}

function allocate(zstd: Library, size: number): number {
  const pointer = zstd.malloc(size);
  if (pointer === 0) throw new TransferError('unavailable', 'unpacking zstd: out of memory');
  return pointer;
}

const broken = (what: string) => new TransferError('invalid-request', `unpacking zstd: ${what}`);
