// Refuses requests of a tenant that has used what it may use, before their bodies are read.
import type { FastifyReply } from 'fastify';
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
      const refuse = (error: unknown) => {
        setHeaders(reply, usage);
        done(error as Error);
      };
      const admit = () => {
        setHeaders(reply, usage);
        // The client may have left while the store was asked.
        if (request.lifetime.isOver) done(request.lifetime.error());
        else done();
      };
      // Not async: what is limited by this process alone is not waited for.
      let taken: Promise<void> | undefined;
      try {
        taken = usage.takeRequest();
      } catch (error) {
        return refuse(error);
      }
      if (taken) taken.then(admit, refuse);
      else admit();
      return undefined;
    });
  },
  { name: 'tenant-limits', dependencies: ['authentication'] },
);

function setHeaders(reply: FastifyReply, usage: TenantUsage): void {
  const headers = usage.headers();
  if (headers) void reply.headers(headers);
}
