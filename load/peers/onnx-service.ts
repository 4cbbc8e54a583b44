// The peer of bench:wire: a service with Fastify, JSON schemas on both sides, and onnxruntime-node's RNN operator on
// one thread. Its requests and responses are those of /v1/step and /v1/sequence (with `outputs: ["h"]`) with a
// registered model; it has no other features.
//
//   HOST=127.0.0.1 PORT=8081 node load/peers/onnx-service.ts FOLDER
//
// Every *.onnx file of the folder is a model with the name of the file and one session, made at the start. Fastify is
// the version of this project. Nothing is logged, and the validator neither coerces nor collects errors.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import Fastify from 'fastify';
import { SESSION_OPTIONS, type Session, importOnnxRuntime } from './onnxruntime.ts';

type Matrix = readonly (readonly number[])[];

interface StepBody {
  readonly model: string;
  readonly x: Matrix;
  readonly h?: Matrix;
}

interface SequenceBody {
  readonly model: string;
  readonly x: readonly Matrix[];
  readonly h?: Matrix;
}

interface Model {
  readonly D: number;
  readonly H: number;
  readonly session: Session;
}

const arrayOf = (items: object) => ({ type: 'array', minItems: 1, items });
const matrix = arrayOf(arrayOf({ type: 'number' }));

const bodySchema = (x: object, more: object = {}) => ({
  type: 'object',
  required: ['model', 'x'],
  additionalProperties: false,
  properties: { model: { type: 'string', maxLength: 128 }, x, h: matrix, ...more },
});
const replySchema = {
  type: 'object',
  required: ['h'],
  additionalProperties: false,
  properties: { h: matrix },
};
const outputs = { type: 'array', items: { enum: ['h'] }, minItems: 1 };

const { Tensor, InferenceSession } = await importOnnxRuntime();
const models = await loadModels(process.argv[2] ?? '.');
const app = Fastify({
  bodyLimit: 32 * 1024 * 1024,
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
});

app.get('/health/live', async () => ({ status: 'ok' }));

app.post<{ Body: StepBody }>(
  '/v1/step',
  { schema: { body: bodySchema(matrix), response: { 200: replySchema } } },
  async ({ body }) => {
    const model = modelOf(body.model);
    return { h: await run(model, [body.x], body.h) };
  },
);

app.post<{ Body: SequenceBody }>(
  '/v1/sequence',
  { schema: { body: bodySchema(arrayOf(matrix), { outputs }), response: { 200: replySchema } } },
  async ({ body }) => {
    const model = modelOf(body.model);
    return { h: await run(model, body.x, body.h) };
  },
);

process.once('SIGTERM', () => void app.close());
const { HOST = '127.0.0.1', PORT = '8081' } = process.env;
await app.listen({ host: HOST, port: Number(PORT) });

async function loadModels(folder: string): Promise<ReadonlyMap<string, Model>> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.onnx'));
  const entries = files.map(async (file) => {
    const bytes = readFileSync(join(folder, file));
    const session = await InferenceSession.create(bytes, SESSION_OPTIONS);
    const sizeOf = (name: string) => {
      const shape = session.inputMetadata[session.inputNames.indexOf(name)]?.shape;
      return Number(shape?.at(-1));
    };
    return [basename(file, '.onnx'), { D: sizeOf('x'), H: sizeOf('h'), session }] as const;
  });
  return new Map(await Promise.all(entries));
}

function modelOf(name: string): Model {
  const model = models.get(name);
  if (model) return model;
  throw badRequest(`There is no model ${name}.`, 404);
}

/** T steps of N rows. @returns the state after the last step */
async function run(
  { D, H, session }: Model,
  x: readonly Matrix[],
  h: Matrix | undefined,
): Promise<Matrix> {
  const [T, N] = [x.length, x[0]!.length];
  const feeds = {
    x: new Tensor('float32', flatten(x, N, D), [T, N, D]),
    h: new Tensor('float32', h ? flatten([h], N, H) : new Float32Array(N * H), [1, N, H]),
  };
  const { h_T } = await session.run(feeds, ['h_T']);
  return nest(h_T!.data, N, H);
}

/** @throws 400 unless every matrix is (rows, columns) */
function flatten(matrices: readonly Matrix[], rows: number, columns: number): Float32Array {
  const out = new Float32Array(matrices.length * rows * columns);
  let at = 0;
  for (const matrix of matrices) {
    if (matrix.length !== rows) throw badRequest(`Expected ${rows} rows, got ${matrix.length}.`);
    for (const row of matrix) {
      if (row.length !== columns) throw badRequest(`Expected rows of ${columns} numbers.`);
      for (let j = 0; j < columns; j++) out[at++] = row[j]!;
    }
  }
  return out;
}

function nest(data: Float32Array, rows: number, columns: number): Matrix {
  return Array.from({ length: rows }, (_, n) => {
    const row = Array<number>(columns);
    for (let j = 0; j < columns; j++) row[j] = data[n * columns + j]!;
    return row;
  });
}

function badRequest(message: string, statusCode = 400): Error {
  return Object.assign(new Error(message), { statusCode });
}
