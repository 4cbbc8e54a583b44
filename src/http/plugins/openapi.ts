// The OpenAPI document, made from the routes' schemas, and Swagger UI over it.
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fp from 'fastify-plugin';
import type { Access } from '../../access/access.ts';
import type { HttpServer } from '../http-server.ts';
import { describeFiles } from '../media-types.ts';

/**
 * Routes of Swagger UI for the document. Its own would print the document in each response; converting it to YAML
 * alone takes 70 ms. JSON is YAML too (YAML 1.2.2, section 1.2).
 */
const DOCUMENT_TYPES: Readonly<Record<string, string>> = {
  '/docs/json': 'application/json; charset=utf-8',
  '/docs/yaml': 'application/yaml',
};

const NARROW_WINDOWS =
  `document.head.insertAdjacentHTML('beforeend', '<meta name="viewport" content="width=device-width, initial-scale=1">');`;

export interface OpenapiOptions {
  readonly version: string;
  /** The document is made when the server gets ready, not with the first request for it: it takes 30 ms. */
  readonly isPrepared: boolean;
  /** Undefined if everybody may call everything: then the document says that keys are not needed. */
  readonly access: Access | undefined;
}

/** How a caller says who it is; see access/access.ts. */
const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, which `carryover key new` makes, or a token (JWT) of the issuer that the service is configured with.',
  },
  apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'An API key or a token.' },
} as const;

/** The schemes of a route with the scopes that it needs, any of them; none for a public one. */
function securityOf(needed: 'public' | readonly string[], isOpen: boolean): Record<string, string[]>[] {
  if (needed === 'public') return [];
  const schemes = Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [...needed] }));
  return isOpen ? [...schemes, {}] : schemes;
}

export const openapi = fp(
  async (app: HttpServer, { version, isPrepared, access }: OpenapiOptions) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Carryover',
          version,
          description:
            'Inference for recurrent networks: h_t = tanh(h_{t-1} W_h + x_t W_x + b). ' +
            'N is the mini-batch, D the input size, H the hidden size, T the number of steps. ' +
            'All tensors are float32; the same input gives the same bits, whatever runs beside it.',
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [...app.publicAddress.servers],
        components: { securitySchemes: SECURITY_SCHEMES },
        tags: [
          { name: 'compute', description: 'Stateless: inputs and state in the request, weights too or a registered model.' },
          { name: 'models', description: 'Weights registered once, addressed by content or name.' },
          { name: 'sessions', description: 'Hidden states that the server keeps between calls.' },
          { name: 'health', description: 'For supervisors and gateways.' },
        ],
      },
      transform: ({ schema, url, route }) => {
        const security = securityOf(route.config?.access ?? 'public', !access);
        return { schema: { ...describeFiles(schema), security }, url };
      },
      // Schemas keep the names they have in the code, instead of def-0, def-1, …
      refResolver: { buildLocalReference: (json) => json.$id as string },
    });
    // Made once, as bytes: it is large, and the same for every client.
    let bytes: Buffer | undefined;
    const document = () => (bytes ??= Buffer.from(JSON.stringify(app.swagger())));
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      indexPrefix: app.publicAddress.basePath,
      uiHooks: {
        onRequest: (request, reply, next) => {
          const { url = '' } = request.routeOptions;
          // Its own answer has an address without BASE_PATH.
          if (url === '/docs/static/index.html') return void reply.redirect(app.publicAddress.pathOf('/docs/'));
          const type = DOCUMENT_TYPES[url];
          return type === undefined ? next() : void reply.header('content-type', type).send(document());
        },
      },
      staticCSP: {
        'default-src': "'self'",
        'img-src': "'self' data:",
        // Swagger UI sets inline styles on its elements.
        'style-src': "'self' 'unsafe-inline'",
        'frame-ancestors': "'none'",
      },
      // Its page does not say to a telephone that it fits a narrow window.
      theme: { title: 'Carryover', js: [{ filename: 'viewport.js', content: NARROW_WINDOWS }] },
      // Without the bar of Swagger UI, which offers to open other documents: they could not be read (staticCSP).
      uiConfig: { layout: 'BaseLayout', tryItOutEnabled: true, displayRequestDuration: true, persistAuthorization: false },
    });
    if (isPrepared) app.addHook('onReady', async () => void document());
    app.get('/openapi.json', { schema: { hide: true } }, (_, reply) =>
      reply.header('content-type', 'application/json; charset=utf-8').send(document()),
    );
  },
  { name: 'openapi', dependencies: ['errors'] },
);
