// The OpenAPI document, made from the routes' schemas, and /docs: Swagger UI over it, in a page of our own.
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fp from 'fastify-plugin';
import type { Access } from '../../access/access.ts';
import { type OpenapiDocument, describe } from '../docs/describe.ts';
import { LAST_SESSION } from '../docs/examples.ts';
import { docsPage } from '../docs/page.ts';
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

/** What is of the service, and the styles that Swagger UI sets on its elements. */
const CONTENT_POLICY = {
  'default-src': "'self'",
  'img-src': "'self' data:",
  'style-src': "'self' 'unsafe-inline'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
};

const DESCRIPTION = `Inference for recurrent networks: h_t = tanh(h_{t-1} W_h + x_t W_x + b), GRU and LSTM.
N is the mini-batch, D the input size, H the hidden size, O the output size, T the number of steps. All tensors are float32; the
same input gives the same bits, whatever runs beside it.

Every operation has examples that run as they are. In them \`${LAST_SESSION}\` stands for the session that you have created
last on the page /docs, or a new one if there is none. Programs can use the [client for Python](clients/carryover.py); errors are explained
[on a page of their own](problems).`;

/** In the order in which the operations are shown. */
const TAGS = [
  {
    name: 'compute',
    description: 'One step, or a sequence of them. Nothing is kept: weights or a registered model, inputs and states are in the request.',
  },
  { name: 'models', description: 'Weights that are registered once, and from then on called by a name or by the digest of their content.' },
  {
    name: 'sessions',
    description: 'Hidden states that the service keeps between calls. A step counts exactly once, also if it is sent again or the process is killed.',
  },
  {
    name: 'open inference protocol',
    description: 'Version 2, as clients of KServe and Triton speak it: the same models, sessions and bits at other addresses.',
  },
  { name: 'operations', description: 'Whether the service is alive and ready, for supervisors and gateways.' },
];

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
          description: DESCRIPTION,
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [...app.publicAddress.servers],
        components: { securitySchemes: SECURITY_SCHEMES },
        tags: TAGS,
      },
      transform: ({ schema, url, route }) => {
        const security = securityOf(route.config?.access ?? 'public', !access);
        return { schema: { ...describeFiles(schema), security }, url };
      },
      transformObject: (made) => {
        describe((made as unknown as { openapiObject: OpenapiDocument }).openapiObject);
        return (made as { openapiObject: object }).openapiObject;
      },
      // Schemas keep the names they have in the code, instead of def-0, def-1, …
      refResolver: { buildLocalReference: (json) => json.$id as string },
    });
    // Made once, as bytes: it is large, and the same for every client.
    let bytes: Buffer | undefined;
    const document = () => (bytes ??= Buffer.from(JSON.stringify(app.swagger())));
    const pages = { '/docs': docsPage(''), '/docs/': docsPage('../') };
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: CONTENT_POLICY,
      uiHooks: {
        onRequest: (request, reply, next) => {
          const { url = '' } = request.routeOptions;
          if (url === '/docs' || url === '/docs/') {
            const page = pages[request.url.startsWith('/docs/') ? '/docs/' : '/docs'];
            return void reply.header('cache-control', 'no-cache').type('text/html; charset=utf-8').send(page);
          }
          // Its own answer has an address without BASE_PATH.
          if (url === '/docs/static/index.html') return void reply.redirect(app.publicAddress.pathOf('/docs/'));
          const type = DOCUMENT_TYPES[url];
          return type === undefined ? next() : void reply.header('content-type', type).send(document());
        },
      },
    });
    if (isPrepared) app.addHook('onReady', async () => void document());
    app.get('/openapi.json', { schema: { hide: true } }, (_, reply) =>
      reply.header('content-type', 'application/json; charset=utf-8').send(document()),
    );
  },
  { name: 'openapi', dependencies: ['errors'] },
);
