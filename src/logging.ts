// The logger of the process: one JSON object on a line of stdout, or readable lines if stdout is a terminal.
// What a line never has: bodies, tensors, the values of headers that grant access or name a call, ids of sessions.
import { type DestinationStream, type Level, type Logger, pino } from 'pino';
import { withoutSessionIds } from './session-hash.ts';
import { StdoutLines } from './stdout-lines.ts';

/** Fields whose values are replaced in every line, wherever a request's headers or the request are logged. */
const SECRET_FIELDS = [
  'authorization',
  'x-api-key',
  'sec-websocket-protocol',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'idempotency-key',
  'body',
];

/**
 * Named paths only: with wildcards (`*.headers.cookie`), which pino looks for in every field, an access-log line
 * takes 24 µs instead of 1 µs, a third of a small step.
 */
const SECRET_PATHS = ['', 'headers', 'req', 'req.headers'].flatMap((parent) =>
  SECRET_FIELDS.map((field) => `${parent}["${field}"]`),
);

/** How many causes of an error are logged, each with its own. */
const CAUSES_MAX = 4;
/** How long a line of the audit log waits for a reader of stdout; those behind it do not wait until one was written. */
const AUDIT_WAIT_MS_MAX = 500;
/** Of lines of the audit log that could not be written, and are written before the next ones. */
const AUDIT_CHARACTERS_MAX = 1024 * 1024;
/** More lines than a start has: a service that never gets that far says so. */
const HELD_LINES_MAX = 500;

/**
 * @param level least severe level that is logged
 * @param destination where the lines go
 */
export function createLogger(level: Level | 'silent', destination: DestinationStream): Logger {
  const options = {
    level,
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    serializers: { err: errorFields, req: requestFields, res: responseFields },
  };
  const logger = pino(options, destination);
  if (destination instanceof StdoutLines) {
    destination.onLost = (lines) => logger.warn({ lines }, 'lines of the log were lost: stdout could not be written, or was not read');
  }
  return logger;
}

/**
 * The logger of the audit log: JSON, each line written before the change that it records is answered. Lines are appended,
 * so the file can be rotated by copying and truncating it.
 *
 * @param setting AUDIT_LOG: a file, or `-` for stdout
 * @param onError called when a line cannot be written yet: it is written before the next one that can be
 * @throws the system's error if the file cannot be opened
 */
export function createAuditLogger(setting: string, onError: (error: Error) => void): Logger {
  let sinceMs: number | undefined;
  const file = pino.destination({
    dest: setting === '-' ? 1 : setting,
    append: true,
    mkdir: true,
    sync: true,
    maxLength: AUDIT_CHARACTERS_MAX,
    // Of a pipe that is full. The process does nothing else while it waits.
    retryEAGAIN: () => performance.now() - (sinceMs ??= performance.now()) < AUDIT_WAIT_MS_MAX,
  });
  file.on('error', onError);
  file.on('write', (bytes) => {
    if (bytes > 0) sinceMs = undefined;
  });
  return pino({ level: 'info' }, file);
}

/**
 * Where the lines go: to stdout, as readable ones if it is a terminal, and as JSON otherwise.
 *
 * @param isOneOfMany whether readable lines say which process they are of, as those in JSON always do
 */
export async function stdoutDestination(isOneOfMany = false): Promise<DestinationStream> {
  if (!process.stdout.isTTY) {
    const lines = new StdoutLines();
    process.once('exit', () => lines.flushSync());
    return lines;
  }
  const { default: pretty } = await import('pino-pretty');
  // Synchronous, so that no line is lost when the process exits.
  return pretty({ sync: true, singleLine: true, ignore: isOneOfMany ? 'hostname' : 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
}

/** Where lines are written. */
export type LogLines = DestinationStream;

/** Lines that wait for what a person is to read first, or for the end of the process. */
export class HeldLines implements DestinationStream {
  readonly #target: DestinationStream;
  #held: string[] | undefined = [];

  constructor(target: DestinationStream) {
    this.#target = target;
    process.once('exit', () => this.release());
  }

  write(line: string): void {
    if (this.#held) this.#held.push(line);
    else this.#target.write(line);
    if (this.#held && this.#held.length >= HELD_LINES_MAX) this.release();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const line of held) this.#target.write(line);
  }
}

/**
 * The fields of an error that are logged. Others are not: an error of Redis, for example, has the arguments of
 * its command, which are sessions.
 */
function errorFields(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  const hasCause = cause !== undefined && depth < CAUSES_MAX;
  return {
    type: name,
    message: withoutSessionIds(message),
    code,
    stack: stack && withoutSessionIds(stack),
    cause: hasCause ? errorFields(cause, depth + 1) : undefined,
  };
}

interface LoggedRequest {
  readonly method?: string;
  readonly ip?: string;
  readonly routeOptions?: { readonly url?: string };
}

/** Of a request, as Fastify logs one: no headers, no body, and no address, which may be that of a session. */
function requestFields({ method, ip, routeOptions }: LoggedRequest): object {
  return { method, route: routeOptions?.url, client: ip };
}

function responseFields({ statusCode }: { readonly statusCode?: number }): object {
  return { statusCode };
}
