// The least that a POST in JSON costs with Fastify: the body is parsed by Fastify's own parser, nothing is computed, and the
// answer is the text that was given by `PUT /answer`. PORT and HOST are where it listens.
import Fastify from 'fastify';

const app = Fastify({ logger: false });
let answer = '';

app.get('/', async () => 'ready');
app.put('/answer', (request, reply) => {
  answer = String(request.body);
  void reply.send();
});
app.post('/v1/step', (_, reply) => {
  void reply.header('content-type', 'application/json; charset=utf-8').send(answer);
});
await app.listen({ host: process.env.HOST!, port: Number(process.env.PORT) });
