// Models as the Open Inference Protocol shows them, and its repository of models. A model is loaded by its first request;
// what the repository adds is the list of them.
import type { FastifyReply, preParsingHookHandler } from 'fastify';
import type { ErrorCode } from '../../error-kinds.ts';
import { invalidRequest } from '../../errors.ts';
import type { LayerSpec } from '../../layers.ts';
import type { ModelLibrary } from '../../models/library.ts';
import type { TenantModels } from '../../models/tenant-models.ts';
import type { Tenant } from '../../tenant.ts';
import type { HttpServer } from '../http-server.ts';
import type { Readiness } from '../ops/health.ts';
import { sendInferenceJson } from '../responses/inference-error.ts';
import { BODY_ERRORS } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { VERSION } from './answer.ts';
import { expectKnown } from './parameters.ts';
import {
  InferenceModel,
  ModelParams,
  Ready,
  RepositoryCall,
  RepositoryIndex,
  RepositoryQuery,
  VersionParams,
  errorResponses,
} from './schemas.ts';
import { inputsOf, outputsOf } from './tensors.ts';
import { expectVersion } from './version.ts';

export interface InferenceModelParts {
  readonly library: ModelLibrary;
  readonly models: TenantModels;
  readonly readiness: Readiness;
}

const TAGS = ['open inference protocol'];
/** Whoever may compute with a model may know its shapes. */
const COMPUTE = { access: ['compute'] } as const;
const MODELS = { access: ['models'] } as const;
const FIND_ERRORS = ['invalid_request', 'model_not_found', 'model_corrupt', 'store_unavailable'] as const satisfies readonly ErrorCode[];
const PAGE_MODELS = 1_000;

export function inferenceModelRoutes(app: HttpServer, parts: InferenceModelParts): void {
  metadataRoutes(app, parts);
  readyRoutes(app, parts);
  repositoryRoutes(app, parts);
}

function metadataRoutes(app: HttpServer, { library, models }: InferenceModelParts): void {
  const metadata = async (reply: FastifyReply, model: string, tenant: Tenant) => {
    const layers: readonly LayerSpec[] = library.registry.model(await models.resolve(model, tenant)).layers;
    const [inputs, outputs] = [inputsOf(layers), outputsOf(layers)];
    sendInferenceJson(reply, { name: model, versions: [VERSION], platform: 'carryover', inputs, outputs });
  };
  const response = { 200: { description: 'The model.', ...ref(InferenceModel) }, ...errorResponses(FIND_ERRORS) };
  const schema = { operationId: 'inferenceModel', tags: TAGS, summary: "A model's inputs and outputs", response };
  app.get('/v2/models/:model', { config: COMPUTE, schema: { ...schema, params: ModelParams } }, ({ params, lifetime }, reply) =>
    metadata(reply, params.model, lifetime.tenant),
  );
  const ofVersion = { response, params: VersionParams, hide: true };
  app.get('/v2/models/:model/versions/:version', { config: COMPUTE, schema: ofVersion }, ({ params, lifetime }, reply) => {
    expectVersion(params);
    return metadata(reply, params.model, lifetime.tenant);
  });
}

function readyRoutes(app: HttpServer, { models, readiness }: InferenceModelParts): void {
  const ready = async (reply: FastifyReply, model: string, tenant: Tenant) => {
    await models.resolve(model, tenant);
    const reasons = readiness.reasons();
    if (reasons.length === 0) sendInferenceJson(reply, { name: model, ready: true });
    else sendInferenceJson(reply.code(503), { name: model, ready: false, error: reasons.join(', ') });
  };
  const response = {
    ...errorResponses([...FIND_ERRORS, 'shutting_down']),
    200: { description: 'It can be used.', ...Ready },
    503: { description: 'Not now: `error` says why.', ...Ready },
  };
  const schema = { operationId: 'inferenceModelReady', tags: TAGS, summary: 'Can the model be used?', response };
  app.get('/v2/models/:model/ready', { config: COMPUTE, schema: { ...schema, params: ModelParams } }, ({ params, lifetime }, reply) =>
    ready(reply, params.model, lifetime.tenant),
  );
  const ofVersion = { response, params: VersionParams, hide: true };
  app.get('/v2/models/:model/versions/:version/ready', { config: COMPUTE, schema: ofVersion }, ({ params, lifetime }, reply) => {
    expectVersion(params);
    return ready(reply, params.model, lifetime.tenant);
  });
}

/** The bodies of these calls are optional. */
const orEmptyBody: preParsingHookHandler = (request, _reply, payload, done) => {
  request.body = {};
  done(null, payload);
};

function repositoryRoutes(app: HttpServer, { models }: InferenceModelParts): void {
  app.post(
    '/v2/repository/index',
    {
      config: MODELS,
      preParsing: orEmptyBody,
      schema: {
        operationId: 'repositoryIndex',
        tags: TAGS,
        summary: 'List the models by their names',
        body: ref(RepositoryQuery),
        response: { 200: { description: 'One without a name by its id.', ...RepositoryIndex }, ...errorResponses(BODY_ERRORS) },
      },
    },
    async ({ lifetime }, reply) => {
      const names: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await models.list(lifetime.tenant, after, PAGE_MODELS);
        for (const model of page.models) names.push(...(model.names.length > 0 ? model.names : [model.id]));
        after = page.next;
        if (after === undefined) break;
      }
      sendInferenceJson(reply, names.map((name) => ({ name, version: VERSION, state: 'READY', reason: '' })));
    },
  );
  const schema = {
    tags: TAGS,
    params: ModelParams,
    body: ref(RepositoryCall),
    response: { 200: { description: 'It is loaded.', type: 'object' }, ...errorResponses([...BODY_ERRORS, ...FIND_ERRORS]) },
  };
  const load = { ...schema, operationId: 'loadModel', summary: 'Load a model, as its first request would' };
  app.post('/v2/repository/models/:model/load', { config: MODELS, preParsing: orEmptyBody, schema: load }, async ({ params, body, lifetime }, reply) => {
    // Other weights or another configuration are another model.
    expectKnown(body.parameters ?? {}, [], 'load');
    await models.resolve(params.model, lifetime.tenant);
    sendInferenceJson(reply, {});
  });
  const unload = { ...schema, hide: true };
  app.post('/v2/repository/models/:model/unload', { config: MODELS, preParsing: orEmptyBody, schema: unload }, async ({ params, lifetime }) => {
    await models.resolve(params.model, lifetime.tenant);
    throw invalidRequest(
      `model '${params.model}' stays loaded: requests and sessions may use it at any time. DELETE /v1/models/{model} deletes it ` +
        'for good, if no session uses it.',
    );
  });
}
