// A collector of traces that throws them away, as a process of its own: PORT and HOST are where it listens. `GET /` answers
// how many bytes of spans have arrived.
const { createServer } = process.getBuiltinModule('node:http');

let bytes = 0;

createServer((request, response) => {
  if (request.method === 'GET') return void response.end(String(bytes));
  request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  request.on('end', () => response.end());
}).listen(Number(process.env.PORT), process.env.HOST);
