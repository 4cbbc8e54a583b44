import fp from 'fastify-plugin';
import type { Connections } from '../connections/connections.ts';
import type { HttpServer } from '../http-server.ts';

/** Ends the connections with the server: idle ones when closing begins, the others with their last response. */
export const connectionShutdown = fp(
  (app: HttpServer, { connections }: { readonly connections: Connections }) => {
    app.addHook('preClose', (done) => {
      connections.shutDown();
      done();
    });
    app.addHook('onClose', (_app, done) => {
      connections.stop();
      done();
    });
  },
  { name: 'connection-shutdown' },
);
