// `Expect: 100-continue`: the client asks whether it should send its body. Node would answer every such request
// with 100 at once; here 100 is sent when the body is about to be read, so a request that is refused before that
// is answered without its body being sent.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

const waiting = new WeakMap<IncomingMessage, ServerResponse>();

/** Passes requests with an expectation to the listener of all requests, also those with one unknown to Node. */
export function deferContinue(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.set(request, response);
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    server.emit('request', request, response);
  });
}

/** Answers 100 if the client waits for it before it sends the body. */
export function sendContinue(request: IncomingMessage): void {
  if (request.headers.expect === undefined) return;
  waiting.get(request)?.writeContinue();
  waiting.delete(request);
}
