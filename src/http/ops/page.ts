// GET /: a page for people, and for programs links to the documentation and the health checks.
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import fastifyStatic from '@fastify/static';
import { builtFolder, readBuilt } from '../built-files.ts';
import type { HttpServer } from '../http-server.ts';
import { contentPolicyOf } from '../security-headers.ts';
import { varyBy } from '../vary.ts';

/** @throws Error if the files of the page are not built */
export async function pageRoute(app: HttpServer, { version }: { readonly version: string }): Promise<void> {
  const { publicAddress } = app;
  const folder = builtFolder();
  const page = withBasePath(readBuilt('index.html'), publicAddress.basePath);
  const headers = { 'content-security-policy': contentPolicyOf(page), 'cache-control': 'no-cache' };
  // Once, at the start: the highest level of br would add 25 ms to that, to save 400 of 4,300 bytes.
  const br = brotliCompressSync(page, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  const compressed = new Map([['br', br], ['gzip', gzipSync(page, { level: 9 })]]);
  const links = {
    service: 'carryover',
    version,
    page: publicAddress.pathOf('/'),
    docs: publicAddress.pathOf('/docs'),
    openapi: publicAddress.pathOf('/openapi.json'),
    errors: publicAddress.pathOf('/problems'),
    health: publicAddress.pathOf('/health/ready'),
  };

  app.get('/', { schema: { hide: true } }, (request, reply) => {
    varyBy(reply, 'accept');
    // Who accepts anything, as curl does, is a program.
    if (request.accepts().type(['json', 'html']) !== 'html') return reply.send(links);
    void reply.headers(headers).type('text/html; charset=utf-8');
    const encoding = request.accepts().encoding(['br', 'gzip', 'identity']);
    const body = compressed.get(String(encoding));
    if (!body) return reply.send(page);
    varyBy(reply, 'accept-encoding');
    return reply.header('content-encoding', encoding).send(body);
  });

  await app.register(fastifyStatic, {
    root: folder.path,
    prefix: folder.url,
    decorateReply: false,
    preCompressed: true,
    index: false,
    immutable: true,
    maxAge: '365d',
  });
}

/**
 * Its addresses are relative, so that it works behind a gateway that strips a path of which the service knows nothing. Where
 * the path is configured the page may be called without a slash at the end, and then they would be wrong.
 */
function withBasePath(page: string, basePath: string): string {
  return basePath === '' ? page : page.replaceAll('="app/', `="${basePath}/app/`);
}
