// Runs client.ts against a service of its own.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { startServer } from '../../load/processes/server-process.ts';

await using service = await startServer();
execFileSync(process.execPath, [join(import.meta.dirname, 'client.ts'), service.url], { stdio: 'inherit' });
