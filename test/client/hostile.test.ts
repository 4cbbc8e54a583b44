// Answers that no service sends: of another program, or damaged on the way. None is taken for a result, and none is repeated
// for ever.
import { describe, expect, test } from 'vitest';
import { Carryover, CarryoverError } from '../../src/client/index.ts';
import { writeTensorFile } from '../../src/client/safetensors.ts';
import { Tensor } from '../../src/client/tensor.ts';
import { CREATED, INFO, json, scripted, stepped } from './scripted.ts';

const FILE = 'application/vnd.carryover.safetensors';
const file = (tensors: Record<string, Tensor>, metadata = {}, type = FILE) =>
  new Response(writeTensorFile(tensors, metadata), { headers: { 'content-type': type } });
const one = new Tensor([1, 1], [1]);
const MARK = JSON.stringify(INFO);

const errorOf = (promise: Promise<unknown>) => promise.then(() => expect.unreachable(), (error: unknown) => error as CarryoverError);

/** What can be in place of the answer to a step of a session. */
const ANSWERS: readonly [string, Response][] = [
  ['a page', new Response('<html>Sign in</html>', { headers: { 'content-type': 'text/html' } })],
  ['nothing', new Response(null, { status: 204 })],
  ['no type', new Response(new Uint8Array(8))],
  ['a file of another type', file({ h: one }, { session: MARK }, 'application/octet-stream')],
  ['a file that is cut off', new Response(writeTensorFile({ h: one }, { session: MARK }).slice(0, -1), { headers: { 'content-type': FILE } })],
  ['a file without h', file({ x: one }, { session: MARK })],
  ['a file without a session', file({ h: one })],
  ['a file whose session is no JSON', file({ h: one }, { session: '{' })],
  ['a file whose session has no t', file({ h: one }, { session: '{"id":"a","version":1}' })],
  ['JSON that is cut off', new Response('{"h":[[1', { headers: { 'content-type': 'application/json' } })],
  ['JSON null', json(null)],
  ['JSON without h', json({ session: INFO })],
  ['JSON without a session', json({ h: [[1]] })],
  ['an h that is a number', json({ h: 1, session: INFO })],
  ['an h of texts', json({ h: [['1']], session: INFO })],
  ['an h that is ragged', json({ h: [[1, 2], [3]], session: INFO })],
  ['an h that is null', json({ h: null, session: INFO })],
  ['a c of numbers and lists', json({ h: [[1]], c: [1, [2]], session: INFO })],
  ['a trace that is null', json({ h: [[1]], trace: null, session: INFO })],
  ['a trace of layers that are null', json({ h: [[1]], trace: { layers: [null] }, session: INFO })],
  ['a session that is a text', json({ h: [[1]], session: 'here' })],
];

describe('in place of the answer to a step', () => {
  test.each(ANSWERS)('%s is an error: the step may have been applied', async (_, answer) => {
    const { fetch, calls } = scripted(CREATED, answer);
    const session = await new Carryover('http://carryover.test', { fetch }).sessions.create({ model: 'm' });
    const error = await errorOf(session.step([[1]]));
    expect(error).toBeInstanceOf(CarryoverError);
    expect(error).toMatchObject({ code: 'unreadable_answer', applied: 'unknown', problem: undefined });
    expect(calls).toHaveLength(2);
    expect(session).toMatchObject({ t: 0, etag: '"a.0"' });
  });
});

describe('in place of other answers', () => {
  test.each<[string, Response, (carryover: Carryover) => Promise<unknown>]>([
    ['a session without an id', json({ t: 0 }), (carryover) => carryover.sessions.create({ model: 'm' })],
    ['a session without a model', json({ id: 'a', t: 0, version: 0 }), (carryover) => carryover.sessions.open('a')],
    ['a model without an id', json({}), (carryover) => carryover.models.get('m')],
    ['a list without models', json({ sessions: [] }), (carryover) => Array.fromAsync(carryover.models.list())],
    ['a list that is none', json({ models: { length: 1 } }), (carryover) => Array.fromAsync(carryover.models.list())],
    ['an event that is no JSON', new Response('data: {"t":1,"h":[[1]]}\n\ndata: <html>\n\n'), (carryover) => Array.fromAsync(carryover.streamSequence({ model: 'm', x: [[[1]]] }))],
    ['an event without t', new Response('data: {"h":[[1]]}\n\n'), (carryover) => Array.fromAsync(carryover.streamSequence({ model: 'm', x: [[[1]]] }))],
    ['an error that is none', new Response('event: error\ndata: {"error":true}\n\n'), (carryover) => Array.fromAsync(carryover.streamSequence({ model: 'm', x: [[[1]]] }))],
    ['a refusal that is a page', new Response('<h1>Forbidden</h1>', { status: 403 }), (carryover) => carryover.step({ model: 'm', x: [[1]] })],
    ['a problem without a code', json({ detail: 'No.' }, { status: 422 }), (carryover) => carryover.step({ model: 'm', x: [[1]] })],
  ])('%s is an error', async (_, answer, call) => {
    const { fetch, calls } = scripted(answer);
    const error = await errorOf(call(new Carryover('http://carryover.test', { fetch })));
    expect(error).toBeInstanceOf(CarryoverError);
    expect(error.code).toBe('unreadable_answer');
    expect(calls).toHaveLength(1);
  });
});

/** A WebSocket on which the test speaks for the service. */
class ScriptedSocket extends EventTarget {
  static last: ScriptedSocket;
  static opened: () => void = () => undefined;
  binaryType = 'blob';
  readonly sent: Uint8Array[] = [];
  isClosed = false;

  constructor() {
    super();
    ScriptedSocket.last = this;
    setTimeout(ScriptedSocket.opened);
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  close(): void {
    this.isClosed = true;
  }

  say(data: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
}

describe('on a WebSocket', () => {
  const greeting = JSON.stringify({ session: { ...INFO, etag: '"a.0"' } });
  const answer = (metadata: object, tensors: Record<string, Tensor> = { h: one }) => writeTensorFile(tensors, { ...metadata }).buffer;
  const mark = JSON.stringify({ ...INFO, t: 1, version: 1, etag: '"a.1"' });

  /** What a stream ends with if these are the messages of the service. */
  async function errorAfter(messages: readonly unknown[]) {
    const { fetch } = scripted(CREATED, stepped(1));
    const WebSocket = ScriptedSocket as unknown as typeof globalThis.WebSocket;
    const session = await new Carryover('http://carryover.test', { fetch, WebSocket, retry: false }).sessions.create({ model: 'm' });
    ScriptedSocket.opened = () => {
      for (const message of messages) ScriptedSocket.last.say(message);
    };
    const error = await errorOf(Array.fromAsync(session.stream([[[1]], [[2]]])));
    expect(ScriptedSocket.last.isClosed).toBe(true);
    return error;
  }

  test.each<[string, readonly unknown[]]>([
    ['a first message that is no JSON', ['hello']],
    ['a first message without a session', ['{}']],
    ['two first messages', [greeting, greeting]],
    ['an answer that is cut off', [greeting, answer({ id: '0', session: mark }).slice(0, 40)]],
    ['an answer to another message', [greeting, answer({ id: '1', session: mark })]],
    ['an answer to no message', [greeting, answer({ session: mark })]],
    ['an answer without h', [greeting, answer({ id: '0', session: mark }, {})]],
    ['an answer without a session', [greeting, answer({ id: '0' })]],
    ['an error that is no problem', [greeting, '{"error":"no","id":"0"}']],
  ])('%s is an error', async (_, messages) => {
    expect(await errorAfter(messages)).toMatchObject({ name: 'CarryoverError', code: 'unreadable_answer' });
  });

  test('an answer at another version than the next one is a conflict', async () => {
    const later = JSON.stringify({ ...INFO, t: 2, version: 2, etag: '"a.2"' });
    expect(await errorAfter([greeting, answer({ id: '0', session: later })])).toMatchObject({ code: 'step_conflict', applied: 'yes' });
  });

  test('control: right answers are results', async () => {
    const { fetch } = scripted(CREATED);
    const WebSocket = ScriptedSocket as unknown as typeof globalThis.WebSocket;
    const session = await new Carryover('http://carryover.test', { fetch, WebSocket }).sessions.create({ model: 'm' });
    ScriptedSocket.opened = () => {
      ScriptedSocket.last.say(greeting);
      ScriptedSocket.last.say(answer({ id: '0', session: mark }));
    };
    const [step] = await Array.fromAsync(session.stream([[[1]]]));
    expect(step!.h).toEqual(one);
    expect(session).toMatchObject({ t: 1, etag: '"a.1"' });
  });
});
