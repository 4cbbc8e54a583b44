// carryover sessions: hidden states that a service keeps.
import type { Command } from 'commander';
import { type Io, print, printJson } from './io.ts';
import { number, wholeNumber, withExamples, withService } from './options.ts';
import { eachPage } from './pages.ts';
import { Service } from './service.ts';
import { formatTable } from './table.ts';
import { formatTensors } from './tensors.ts';

interface SessionInfo {
  readonly id: string;
  readonly model: string;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  readonly t: number;
  readonly version: number;
  readonly digest: string;
  readonly ttl_s: number;
  readonly expires_at: string;
}

interface SessionWithState extends SessionInfo {
  readonly kept: readonly number[];
  readonly h: unknown;
  readonly c?: unknown;
}

interface ServiceOptions {
  readonly url: string;
  readonly json?: boolean;
}

interface CreateOptions extends ServiceOptions {
  readonly model: string;
  readonly rows?: number;
  readonly keep?: number;
  readonly ttl?: number;
}

export function sessionsCommand(program: Command, io: Io): void {
  const sessions = program
    .command('sessions')
    .description('Create, list, show, fork and delete the sessions of a service.');
  withExamples(sessions, [
    'sessions create --model sunspots',
    'sessions',
    'sessions show SESSION',
    'sessions fork SESSION',
    'sessions delete SESSION',
  ]);
  withService(sessions.command('list', { isDefault: true }), io)
    .description('List the open sessions.')
    .option('--model <ref>', 'only those with this model')
    .action((options: ServiceOptions & { model?: string }) => list(options, io));
  withService(sessions.command('create'), io)
    .description('Create a session, which keeps the hidden state of a model between calls.')
    .requiredOption('--model <ref>', 'the name or the id of its model')
    .option('--rows <N>', 'rows of the mini-batch of every call; 1 without it', wholeNumber(1, 1_048_576))
    .option('--keep <count>', 'how many past states are kept; none without it', wholeNumber(0, 64))
    .option('--ttl <seconds>', 'idle lifetime; SESSION_TTL_S of the service without it', number(1, 31_536_000))
    .action((options: CreateOptions) => create(options, io));
  withService(sessions.command('show <id>'), io)
    .description('Show a session with its state.')
    .action((id: string, options: ServiceOptions) => show(id, options, io));
  withService(sessions.command('fork <id>'), io)
    .description('Create a session that starts from the state of another.')
    .action((id: string, options: ServiceOptions) => fork(id, options, io));
  withService(sessions.command('delete <id>'), io)
    .description('Delete a session with its state.')
    .action((id: string, options: ServiceOptions) => remove(id, options, io));
}

const pathOf = (id: string) => `/v1/sessions/${encodeURIComponent(id)}`;

async function list({ url, json, model }: ServiceOptions & { model?: string }, io: Io): Promise<void> {
  const sessions = await eachPage<SessionInfo>(new Service(io, url), '/v1/sessions', 'sessions', { model });
  if (json) return printJson(io, sessions);
  const rows = sessions.map(({ id, model, N, t, version, expires_at }) => [
    id,
    `${model.slice(0, 'sha256:'.length + 12)}…`,
    ...[N, t, version].map(String),
    expires_at,
  ]);
  const heading = ['id', 'model', 'N', 't', 'version', 'expires'];
  await print(
    io,
    formatTable([heading, ...rows], (column) => ([0, 1, 5].includes(column) ? 'left' : 'right')),
  );
}

async function create({ url, json, model, rows, keep, ttl }: CreateOptions, io: Io): Promise<void> {
  const body = { model, N: rows, keep, ttl_s: ttl };
  await printCreated(await new Service(io, url).json<SessionInfo>('/v1/sessions', { method: 'POST', body }), json, io);
}

async function fork(id: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  await printCreated(await new Service(io, url).json<SessionInfo>(`${pathOf(id)}/fork`, { method: 'POST' }), json, io);
}

/** The id alone, so that a shell can keep it: id=$(carryover sessions create --model sunspots) */
async function printCreated(session: SessionInfo, json: boolean | undefined, io: Io): Promise<void> {
  if (json) return printJson(io, session);
  await print(io, session.id);
}

async function show(id: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  const session = await new Service(io, url).json<SessionWithState>(pathOf(id));
  if (json) return printJson(io, session);
  const { model, N, D, H, t, version, digest, expires_at, kept, h, c } = session;
  const lines = [
    ['id', session.id],
    ['model', model],
    ['sizes', `N=${N} D=${D} H=${H}`],
    ['t', `${t} (version ${version})`],
    ['digest', digest],
    ['kept', kept.length === 0 ? 'no past states' : `the states of t = ${kept.join(', ')}`],
    ['expires', expires_at],
  ];
  await print(io, `${formatTable(lines, () => 'left')}\n\n${formatTensors({ h, c }, io.stdout.columns)}`);
}

async function remove(id: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  await new Service(io, url).call(pathOf(id), { method: 'DELETE' });
  if (json) return printJson(io, { deleted: id });
  await print(io, `${id} is deleted`);
}
