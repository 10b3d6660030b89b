/** Answers and pages as brotli or gzip, where the client can read them. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'graphql-yoga';

/** Below, the headers weigh more than what is saved. */
const MIN_LENGTH = 1024;
const COMPRESSIBLE = /^(application\/(graphql-response\+)?json|text\/html)\b/;

const encoders = {
  br: (text: string) => promisify(brotliCompress)(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  gzip: (text: string) => promisify(gzip)(text),
};
export type Encoding = keyof typeof encoders;

export function compress(encoding: Encoding, text: string): Promise<Buffer> {
  return encoders[encoding](text);
}

/** Streams of events are left alone: what is compressed waits until there is enough of it. */
export function useCompression(): Plugin {
  // GraphiQL's page is megabytes and always the same.
  const pages = new Map<string, Promise<Uint8Array>>();
  return {
    async onResponse({ request, response, setResponse, fetchAPI }) {
      const type = response.headers.get('content-type') ?? '';
      if (response.body === null || !COMPRESSIBLE.test(type)) return;
      const { status, statusText, headers } = response;
      headers.append('vary', 'accept-encoding');
      const text = await response.text();
      const isPage = type.startsWith('text/html');
      const tag = isPage ? tagOf(text) : '';
      if (isPage) {
        headers.set('etag', tag);
        // Kept, and asked for again by its tag.
        headers.set('cache-control', 'no-cache');
        if (request.headers.get('if-none-match') === tag)
          return setResponse(
            new fetchAPI.Response(null, { status: 304, headers: { etag: tag, 'cache-control': 'no-cache' } }),
          );
      }
      const encoding = chooseEncoding(request.headers.get('accept-encoding'));
      if (encoding === null || text.length < MIN_LENGTH) return;
      const body = isPage ? remembered(pages, encoding, tag, text) : compress(encoding, text);
      const { 'content-length': _, ...kept } = Object.fromEntries(headers);
      setResponse(
        new fetchAPI.Response(Uint8Array.from(await body), {
          ...{ status, statusText },
          headers: { ...kept, 'content-encoding': encoding },
        }),
      );
    },
  };
}

function tagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url')}"`;
}

function remembered(
  pages: Map<string, Promise<Uint8Array>>,
  encoding: Encoding,
  tag: string,
  text: string,
): Promise<Uint8Array> {
  const key = `${encoding} ${tag}`;
  const known = pages.get(key) ?? compress(encoding, text);
  if (!pages.has(key) && pages.size >= 4) pages.clear();
  pages.set(key, known);
  return known;
}

/** The best that the client names; null where it names none. */
export function chooseEncoding(accept: string | null): Encoding | null {
  const named = (accept ?? '')
    .toLowerCase()
    .split(',')
    .map((range) => range.trim().split(/\s*;\s*q=/));
  const accepts = (name: string) => named.some(([range, q]) => range === name && Number(q ?? 1) > 0);
  return accepts('br') ? 'br' : accepts('gzip') ? 'gzip' : null;
}
