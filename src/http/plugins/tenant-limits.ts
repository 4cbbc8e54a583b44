// Refuses requests of a tenant that has used what it may use, before their bodies are read.
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Limits } from '../../limits/limits.ts';
import type { TenantUsage } from '../../limits/tenant-usage.ts';
import type { HttpServer } from '../http-server.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined at a public route, and where nothing is limited. */
    usage: TenantUsage | undefined;
  }
}

export interface TenantLimitsOptions {
  /** Undefined if nobody is limited. */
  readonly tenantLimits: Limits | undefined;
}

export const tenantLimits = fp(
  (app: HttpServer, { tenantLimits: limits }: TenantLimitsOptions) => {
    app.decorateRequest('usage', undefined);
    if (!limits) return;
    app.addHook('onRequest', (request, reply, done) => {
      if ((request.routeOptions.config.access ?? 'public') === 'public') return done();
      const usage = limits.usageOf(request.principal);
      request.usage = usage;
      request.lifetime.usage = usage;
      // Not async: what is limited by this process alone is not waited for.
      try {
        const taken = usage.takeRequest();
        if (taken) {
          taken.then(() => admit(request, reply, usage)).then(() => done(), (error: unknown) => refuse(reply, usage, error, done));
          return undefined;
        }
        admit(request, reply, usage);
      } catch (error) {
        return refuse(reply, usage, error, done);
      }
      return done();
    });
  },
  { name: 'tenant-limits', dependencies: ['authentication'] },
);

/** The client may have left while the store was asked. */
function admit({ lifetime }: FastifyRequest, reply: FastifyReply, usage: TenantUsage): void {
  lifetime.throwIfOver();
  setHeaders(reply, usage);
}

function refuse(reply: FastifyReply, usage: TenantUsage, error: unknown, done: (error: Error) => void): void {
  setHeaders(reply, usage);
  done(error as Error);
}

function setHeaders(reply: FastifyReply, usage: TenantUsage): void {
  const headers = usage.headers();
  if (headers) void reply.headers(headers);
}
