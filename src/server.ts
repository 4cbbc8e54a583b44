// The process that is started: it reads the configuration and serves, alone or by processes that share a port.
import { type Config, ConfigError, processesOf, readConfig } from './config.ts';
import { EXIT_CONFIG } from './exits.ts';
import type { Member } from './processes/member.ts';

// A stderr that cannot be written, as one on a full disk, is no reason to end; there is no other place to say so.
process.stderr.on('error', () => {});

const config = readConfigOrExit();
if (processesOf(config) === 1) await serve();
else await serveTogether();

function readConfigOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(EXIT_CONFIG);
  }
}

/** In the process that was started it starts the others, each of which runs this file as well and serves. */
async function serveTogether(): Promise<void> {
  const { default: cluster } = await import('node:cluster');
  if (cluster.isPrimary) {
    const { runPrimary } = await import('./processes/primary.ts');
    await runPrimary(config);
  } else {
    const { Member } = await import('./processes/member.ts');
    await serve(new Member());
  }
}

/** The service is loaded only where it runs. */
async function serve(member?: Member): Promise<void> {
  const { serve } = await import('./serve.ts');
  await serve(config, member);
}
