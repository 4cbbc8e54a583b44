// nginx with docker/nginx/default.conf.template, rendered as the official image does, in a folder of its own.
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeAtEnd } from './cleanup.ts';
import { freePort, startProcess, untilReady } from './process.ts';

export const TEMPLATE = readFileSync(join(import.meta.dirname, '../../docker/nginx/default.conf.template'), 'utf8');

export interface Gateway {
  readonly url: string;
  /** What nginx has logged. */
  log(): string;
  stop(): Promise<void>;
}

/**
 * @param ports of the replicas behind it, on 127.0.0.1
 * @param change of the rendered configuration, for controls and additions
 * @param ownPort that the gateway listens on; a free one if it is not given
 */
export async function startGateway(
  ports: readonly number[],
  change: (configuration: string) => string = (configuration) => configuration,
  ownPort?: number,
): Promise<Gateway> {
  const port = ownPort ?? (await freePort());
  const prefix = await mkdtemp(join(tmpdir(), 'carryover-gateway-'));
  // The workers of an nginx started by root belong to somebody else.
  await chmod(prefix, 0o755);
  await writeFile(join(prefix, 'nginx.conf'), MAIN_CONF);
  const rendered = render(TEMPLATE, {
    NGINX_LOCAL_RESOLVERS: '127.0.0.1',
    CARRYOVER_GATEWAY_PORT: `127.0.0.1:${port}`,
    CARRYOVER_SERVERS: ports.map((upstream) => `server 127.0.0.1:${upstream} max_fails=0;`).join('\n  '),
  });
  await writeFile(join(prefix, 'default.conf'), change(rendered));

  const args = ['-p', `${prefix}/`, '-c', 'nginx.conf', '-e', 'stderr'];
  const running = startProcess('nginx', args, {});
  const forget = closeAtEnd(() => rm(prefix, { recursive: true, force: true }));
  const url = `http://127.0.0.1:${port}`;
  await untilReady(running, url);
  return {
    url,
    log: () => running.output(),
    stop: async () => {
      await running.stop();
      await rm(prefix, { recursive: true });
      forget();
    },
  };
}

const MAIN_CONF = `
daemon off;
master_process on;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include default.conf;
}
`;

/** Replaces ${VARIABLES} that are given and leaves nginx's own. @throws Error if one is missing */
function render(text: string, variables: Record<string, string>): string {
  return text.replaceAll(/\$\{([A-Z_]+)\}/g, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`the template needs ${name}`);
    return value;
  });
}
