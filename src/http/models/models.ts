// /v1/models: weights that are registered once, and named by a hash of their content or by a name that can be
// pointed to other weights later.
import type { FastifyReply } from 'fastify';
import type { Static } from 'typebox';
import { tensorFromJson } from '../../codec/json/tensor.ts';
import { type ModelSource, registerModel } from '../../engine/register.ts';
import type { Limits } from '../../engine/shapes.ts';
import type { WeightsPacker } from '../../engine/weights-packer.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import { invalidRequest } from '../../errors.ts';
import type { ModelLibrary } from '../../models/library.ts';
import type { TenantModels } from '../../models/tenant-models.ts';
import { expectTanh } from '../../models/import/activation.ts';
import type { Import, ImportOptions } from '../../models/import/checkpoint.ts';
import { type ImportListener, importFile } from '../../models/import-file.ts';
import { READOUT_NAMES } from '../../models/import/readout.ts';
import type { ModelInfo as Info } from '../../models/model-info.ts';
import type { AuditLog } from '../audit.ts';
import { isBodyHeld } from '../request.ts';
import { MODEL_FILE_TYPES, jsonOrFile } from '../media-types.ts';
import {
  ModelBody,
  ModelInfo,
  ModelList,
  ModelListQuery,
  ModelQuery,
  NameParams,
  PointBody,
  RefParams,
} from './schemas.ts';
import { BODY_ERRORS, REGISTER_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import type { HttpServer } from '../http-server.ts';
import { layersSource } from '../compute/layers.ts';
import { weightsSource } from '../compute/weights.ts';

const MODEL_ERRORS: readonly ErrorCode[] = [
  ...BODY_ERRORS,
  ...REGISTER_ERRORS,
  'malformed_safetensors',
  'malformed_model_file',
  'model_file_unsupported',
  'name_taken',
  'built_in_model',
  'unknown_tensors',
  'layers_unconfirmed',
  'activation_unconfirmed',
  'activation_unsupported',
];

/** Models of a page, unless the request says how many. */
const PAGE_MODELS = 100;

export interface ModelRoutesOptions {
  readonly library: ModelLibrary;
  readonly models: TenantModels;
  readonly limits: Limits;
  readonly weightsPacker: WeightsPacker;
  /** Undefined if nobody wants to know. */
  readonly onImport: ImportListener | undefined;
  readonly audit: AuditLog;
}

export function modelRoutes(app: HttpServer, options: ModelRoutesOptions): void {
  registerRoute(app, options);
  readRoutes(app, options.models);
  changeRoutes(app, options);
}

function registerRoute(app: HttpServer, parts: ModelRoutesOptions): void {
  const { models, onImport, audit } = parts;
  app.post(
    '/v1/models',
    {
      config: { access: ['models'] },
      schema: {
        operationId: 'registerModel',
        tags: ['models'],
        summary: 'Register a model',
        description:
          'The same layers with the same weights have the same id: registering them again is 200. A file is read by its ' +
          'content: ONNX and Keras (`.keras`, `.h5`) describe their layers themselves. A ' +
          'safetensors file, or a state dict in the zip format of torch.save, may have the tensor names of this ' +
          'API (W_x, W_h, b, W_y, b_y), of ' +
          'torch (`*weight_ih_l0` …, of a cell `*weight_ih` …) or of Keras (`*kernel` …). Names alone tell an embedding, the ' +
          'recurrent layers of one module and a linear head; `layers` describes any other. Nothing is guessed: the names of ' +
          'an RNN of torch and of recurrent layers of Keras do not say the activation, so it must be confirmed, and a Linear ' +
          'or Dense layer is the readout only if `readout` names it or, for torch, it is ' +
          `called ${READOUT_NAMES.join(', ')}. The answer lists in \`tensors\` what each tensor was made from.`,
        querystring: ModelQuery,
        body: jsonOrFile(ref(ModelBody), MODEL_FILE_TYPES),
        response: {
          200: { description: 'It was registered already.', ...ref(ModelInfo) },
          201: { description: 'Registered.', ...ref(ModelInfo) },
          ...problemResponses(MODEL_ERRORS),
        },
      },
    },
    async (request, reply) => {
      const { body, query, lifetime } = request;
      if (Buffer.isBuffer(body)) {
        const file = await importFile(body, query, { lifetime, isBodyHeld: () => isBodyHeld(request), onImport });
        const { layers, tensors, notes } = file;
        const registered = await registerModel(parts, { layers, name: query.name }, lifetime);
        const info = models.view(registered.info.id, lifetime.tenant);
        audit.model(request, 'register', { model: info.id, names: info.names });
        return sendInfo(reply.code(registered.created ? 201 : 200), { ...info, tensors, ...(notes?.length && { notes }) });
      }
      expectNoImportOptions(query);
      const source = modelSource(body, query.name);
      const { info: registered, created } = await registerModel(parts, source, lifetime);
      const info = models.view(registered.id, lifetime.tenant);
      audit.model(request, 'register', { model: info.id, names: info.names });
      return sendInfo(reply.code(created ? 201 : 200), info);
    },
  );
}

function readRoutes(app: HttpServer, visible: TenantModels): void {
  app.get(
    '/v1/models',
    {
      config: { access: ['models'] },
      schema: {
        operationId: 'listModels',
        tags: ['models'],
        summary: 'List the registered models, oldest first',
        querystring: ModelListQuery,
        response: {
          200: { description: 'A page; `next` asks for the one after it.', ...ref(ModelList) },
          ...problemResponses(['invalid_request']),
        },
      },
    },
    async ({ query, lifetime }) => {
      const { models, next } = await visible.list(lifetime.tenant, query.cursor, Number(query.limit ?? PAGE_MODELS));
      return { models, ...(next !== undefined && { next }) };
    },
  );
  app.get(
    '/v1/models/:ref',
    {
      config: { access: ['models'] },
      schema: {
        operationId: 'getModel',
        tags: ['models'],
        summary: 'Read about a model',
        params: RefParams,
        response: {
          200: { description: 'The model.', ...ref(ModelInfo) },
          ...problemResponses(['invalid_request', 'model_not_found', 'model_corrupt', 'store_unavailable']),
        },
      },
    },
    async ({ params, lifetime }, reply) => sendInfo(reply, await visible.info(params.ref, lifetime.tenant)),
  );
}

function changeRoutes(app: HttpServer, { models, audit }: ModelRoutesOptions): void {
  app.put(
    '/v1/models/:ref',
    {
      config: { access: ['models'] },
      schema: {
        operationId: 'pointName',
        tags: ['models'],
        summary: 'Let a name, new or not, point to a model',
        params: NameParams,
        body: ref(PointBody),
        response: {
          200: { description: 'The model that the name points to now.', ...ref(ModelInfo) },
          ...problemResponses([
            ...BODY_ERRORS,
            'model_not_found',
            'model_corrupt',
            'built_in_model',
            'internal',
            'shutting_down',
            'store_unavailable',
            'models_full',
            'store_full',
          ]),
        },
      },
    },
    async (request, reply) => {
      const { params, body, lifetime } = request;
      const { info, before } = await models.point(params.ref, body.model, lifetime);
      audit.model(request, 'move', { model: info.id, names: [params.ref], before });
      return sendInfo(reply, info);
    },
  );
  app.delete(
    '/v1/models/:ref',
    {
      config: { access: ['models'] },
      schema: {
        operationId: 'deleteModel',
        tags: ['models'],
        summary: 'Delete a model with all its names',
        params: RefParams,
        response: {
          204: { description: 'Deleted. Requests that run are finished.', type: 'null' },
          ...problemResponses([
            'invalid_request',
            'model_not_found',
            'model_corrupt',
            'built_in_model',
            'model_pinned',
            'store_unavailable',
            'store_full',
          ]),
        },
      },
    },
    async (request, reply) => {
      const { params, lifetime } = request;
      const { id, names } = await models.delete(params.ref, lifetime.tenant);
      audit.model(request, 'delete', { model: id, names });
      void reply.code(204);
    },
  );
}

/** @throws invalid_request if a body in JSON comes with query parameters that are about a file */
function expectNoImportOptions({ activation, readout, layers }: ImportOptions): void {
  expectTanh(activation);
  if (layers !== undefined) {
    throw invalidRequest(
      'The query parameter `layers` describes the layers of a safetensors file; in JSON, expected the layers as ' +
        '{"layers": […]} in the body.',
    );
  }
  if (readout === undefined) return;
  throw invalidRequest(
    'The query parameter `readout` names a layer in a safetensors file; in JSON, expected the ' +
      'readout as {"readout": {"W_y": …, "b_y": …}} in the body.',
  );
}

/** @throws invalid_request unless the model is given in exactly one form · ragged_array */
function modelSource(
  { weights, layers, readout, name }: Static<typeof ModelBody>,
  queryName: string | undefined,
): ModelSource {
  if (layers) {
    const other = weights ? 'weights' : readout ? 'readout' : undefined;
    if (other === undefined) return { ...layersSource({ layers }), name: name ?? queryName };
    const message = `Expected either layers, or weights with an optional readout, got layers and ${other}.`;
    throw invalidRequest(message, `/${other}`);
  }
  if (!weights) throw invalidRequest('Expected one of `weights` and `layers`, got neither.', '');
  return {
    weights: weightsSource(weights),
    readout: readout && {
      W_y: tensorFromJson('readout/W_y', 'HO', readout.W_y),
      b_y: readout.b_y && tensorFromJson('readout/b_y', 'O', readout.b_y),
    },
    name: name ?? queryName,
  };
}

function sendInfo(reply: FastifyReply, info: Info & Partial<Pick<Import, 'tensors' | 'notes'>>) {
  return reply.header('location', reply.server.publicAddress.pathOf(`/v1/models/${info.id}`)).send(info);
}
