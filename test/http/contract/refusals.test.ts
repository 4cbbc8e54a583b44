// What /v1/step and /v1/sequence refuse, case by case: status, code, detail and pointer.
import { expect, test } from 'vitest';
import { W, buildSmallApp, matrix, row, weights } from './app.ts';

const app = await buildSmallApp();

// One row a case: route, body, status, code, what the detail must say, the pointer.
type Case = [string, unknown, number, string, RegExp, string];
const step = (change: object) => ({ weights: W, x: [[1, 2]], ...change });
const sequence = (change: object) => ({ weights: W, x: [[[1, 2]]], ...change });
const CASES: Record<string, Case> = {
  'no weights': ['/v1/step', { x: [[1]] }, 400, 'invalid_request', /one of .* and `session`, got none/, ''],
  'weights and a model': ['/v1/step', step({ model: 'm' }), 400, 'invalid_request', /got both/, ''],
  'an unknown model': [
    '/v1/step',
    { model: 'nobody', x: [[1]] },
    404,
    'model_not_found',
    /no model "nobody"/,
    '',
  ],
  'no x': ['/v1/step', { weights: W }, 400, 'invalid_request', /x is required/, '/x'],
  'an unknown field': ['/v1/step', step({ y: 1 }), 400, 'invalid_request', /y is not a known/, '/y'],
  'an unknown weight': [
    '/v1/step',
    step({ weights: { ...W, 'W/y': 1 } }),
    400,
    'invalid_request',
    /not a known/,
    '/weights/W~1y',
  ],
  'a string': ['/v1/step', step({ x: [['1', 2]] }), 400, 'invalid_request', /number, got "1"/, '/x/0/0'],
  'a null': ['/v1/step', step({ x: [[1, null]] }), 400, 'invalid_request', /number, got null/, '/x/0/1'],
  'a boolean': ['/v1/step', step({ x: [[true, 2]] }), 400, 'invalid_request', /got true/, '/x/0/0'],
  'an object': ['/v1/step', step({ x: [[{}, 2]] }), 400, 'invalid_request', /got an object/, '/x/0/0'],
  'one axis too few': ['/v1/step', step({ x: [1, 2] }), 422, 'shape_mismatch', /expected \(N, D\)/, '/x'],
  'one axis too many': ['/v1/step', step({ x: [[[1, 2]]] }), 400, 'invalid_request', /number/, '/x/0/0'],
  'an empty x': ['/v1/step', step({ x: [] }), 400, 'invalid_request', /not be empty/, '/x'],
  'an empty row': ['/v1/step', step({ x: [[]] }), 400, 'invalid_request', /not be empty/, '/x/0'],
  'a body that is a list': ['/v1/step', [], 400, 'invalid_request', /an object, got an array/, ''],
  'a trace that is no flag': ['/v1/step', step({ trace: 1 }), 400, 'invalid_request', /boolean/, '/trace'],
  'a null in b': [
    '/v1/step',
    step({ weights: { ...W, b: [1, null, 3] } }),
    400,
    'invalid_request',
    /number, got null/,
    '/weights/b/1',
  ],
  'a b that is a number': [
    '/v1/step',
    step({ weights: { ...W, b: 1 } }),
    400,
    'invalid_request',
    /\(H\).*\(1, H\)/,
    '/weights/b',
  ],
  'a ragged x': ['/v1/step', step({ x: [[1, 2], [3]] }), 400, 'ragged_array', /has 1 .*has 2/, '/x/1'],
  'a ragged W_h': [
    '/v1/step',
    step({ weights: { ...W, W_h: [row(3), row(2), row(3)] } }),
    400,
    'ragged_array',
    /has 2 .*has 3/,
    '/weights/W_h/1',
  ],
  'a ragged step': [
    '/v1/sequence',
    sequence({ x: [[[1, 2]], [[1, 2], [3, 4]]] }),
    400,
    'ragged_array',
    /has 2 .*has 1/,
    '/x/1',
  ],
  'a layout unknown': ['/v1/sequence', sequence({ layout: 'DTN' }), 400, 'invalid_request', /NTD/, '/layout'],
  'an output unknown': [
    '/v1/sequence',
    sequence({ outputs: ['z'] }),
    400,
    'invalid_request',
    /one of/,
    '/outputs/0',
  ],
  'an output that the model has not': [
    '/v1/sequence',
    sequence({ outputs: ['h', 'y'] }),
    400,
    'invalid_request',
    /outputs\[1\] is y, but the model has no layer behind/,
    '/outputs/1',
  ],
  'no output': ['/v1/sequence', sequence({ outputs: [] }), 400, 'invalid_request', /empty/, '/outputs'],
  'half a step': ['/v1/sequence', sequence({ lengths: [0.5] }), 400, 'invalid_request', /integer/, '/lengths/0'],
  'negative steps': ['/v1/sequence', sequence({ lengths: [-1] }), 400, 'invalid_request', />= 0/, '/lengths/0'],

  'x of another D': [
    '/v1/step',
    step({ x: [[1, 2, 3]] }),
    422,
    'shape_mismatch',
    /x has shape \(N, D\) = \(1, 3\), expected \(1, 2\), because W_x .*D = 2/,
    '/x',
  ],
  'x of another D, batch first': [
    '/v1/sequence',
    sequence({ x: [[[1], [2]]], layout: 'NTD' }),
    422,
    'shape_mismatch',
    /x has shape \(N, T, D\) = \(1, 2, 1\), expected \(1, 2, 2\)/,
    '/x',
  ],
  'W_h that is not square': [
    '/v1/step',
    step({ weights: { ...W, W_h: matrix(3, 2) } }),
    422,
    'shape_mismatch',
    /W_h has shape .*\(3, 2\), expected \(3, 3\)/,
    '/weights/W_h',
  ],
  'b of another H': [
    '/v1/step',
    step({ weights: { ...W, b: row(4) } }),
    422,
    'shape_mismatch',
    /b has shape \(H,\) = \(4,\), expected \(3,\)/,
    '/weights/b',
  ],
  'two rows of b': [
    '/v1/step',
    step({ weights: { ...W, b: matrix(2, 3) } }),
    422,
    'shape_mismatch',
    /expected \(1, 3\)/,
    '/weights/b',
  ],
  'h of one row for two': [
    '/v1/step',
    step({ x: [[1, 2], [3, 4]], h: [row(3)] }),
    422,
    'shape_mismatch',
    /h has shape \(N, H\) = \(1, 3\), expected \(2, 3\), because x makes N = 2/,
    '/h',
  ],
  'too few lengths': [
    '/v1/sequence',
    sequence({ lengths: [1, 1] }),
    422,
    'shape_mismatch',
    /2 elements, expected 1/,
    '/lengths',
  ],
  'a length beyond T': [
    '/v1/sequence',
    sequence({ lengths: [2] }),
    422,
    'out_of_range',
    /lengths\[0\] is 2, expected at most 1/,
    '/lengths/0',
  ],
  '1e39': ['/v1/step', step({ x: [[1, 1e39]] }), 422, 'out_of_range', /3\.4028235e38/, '/x/0/1'],
  'N beyond the limit': ['/v1/step', step({ x: matrix(9, 2) }), 422, 'limit_exceeded', /N is 9.*8 \(N_MAX/, '/x'],
  'D beyond the limit': [
    '/v1/step',
    { weights: weights(9, 1), x: [row(9)] },
    422,
    'limit_exceeded',
    /D is 9.*D_MAX/,
    '/x',
  ],
  'H beyond the limit': [
    '/v1/step',
    { weights: weights(1, 9), x: [[1]] },
    422,
    'limit_exceeded',
    /H is 9.*H_MAX/,
    '/weights/W_x',
  ],
  'T beyond the limit': [
    '/v1/sequence',
    sequence({ x: matrix(9, 2).map((x_t) => [x_t]) }),
    422,
    'limit_exceeded',
    /T is 9.*T_MAX/,
    '/x',
  ],
  'too much work': [
    '/v1/sequence',
    { weights: weights(8, 8), x: Array(8).fill(matrix(8, 8)), outputs: ['h'] },
    422,
    'limit_exceeded',
    /operations.*WORK_FLOPS_MAX/,
    '/x',
  ],
  'too large an answer': [
    '/v1/sequence',
    { weights: weights(1, 4), x: Array(8).fill(matrix(8, 1)), trace: true },
    422,
    'limit_exceeded',
    /ANSWER_NUMBERS_MAX/,
    '/x',
  ],
  'a z that overflows in a trace': [
    '/v1/step',
    { weights: { W_x: [[3e38]], W_h: [[0]] }, x: [[3e38]], trace: true },
    422,
    'not_finite',
    /trace\.\w+\[0\]\[0\] is Infinity/,
    '/trace/x_W_x',
  ],
  'a body beyond the limit': [
    '/v1/step',
    step({ x: Array(20).fill(row(1000)) }),
    413,
    'body_too_large',
    /has \d+ bytes, expected at most \d+, .*BODY_BYTES_MAX/,
    '',
  ],
};

test.each(Object.entries(CASES))('a request is refused: %s', async (_, [url, body, status, code, detail, pointer]) => {
  const response = await app.post(url, body);
  expect(response.body).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
  expect(response.status).toBe(status);
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  if (pointer !== '') expect(response.body.errors[0].pointer).toBe(pointer);
  expect(response.body.type).toBe(`/problems#${code}`);
  expect(response.body.instance).toBe(response.headers['x-request-id']);
});
