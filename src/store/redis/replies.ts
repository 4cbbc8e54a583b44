// What the error replies of Redis mean for the request that got them.

/**
 * - `sendSource`: the server does not have the script; nothing was executed, and EVAL carries its source.
 * - `retry`: nothing was executed, and the server may accept the request in a moment.
 * - `full`: nothing was executed, as the server has no memory or disk left.
 * - `refused`: nothing was executed, and it will not be.
 * - `failed`: the request may have been executed in part or as a whole.
 */
export type ReplyMeaning = 'sendSource' | 'retry' | 'full' | 'refused' | 'failed';

/** The first match decides. A reply from within a script has words before its code (Redis 6). */
const MEANINGS: readonly (readonly [RegExp, ReplyMeaning])[] = [
  [/NOSCRIPT/, 'sendSource'],
  [/\b(LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|READONLY|BUSY|NOREPLICAS) /, 'retry'],
  [/\bOOM command not allowed|^MISCONF.*(No space left|maxmemory)/, 'full'],
  [/^(MISCONF|NOAUTH|WRONGPASS|NOPERM|MOVED|ASK|CROSSSLOT|ERR unknown command|ERR max)/, 'refused'],
];

/** @param message of an error reply, without its leading `-` */
export function meaningOf(message: string): ReplyMeaning {
  return MEANINGS.find(([pattern]) => pattern.test(message))?.[1] ?? 'failed';
}

/** Whether the server rejects the credentials in STORE_URL, so that another attempt cannot help. */
export function isAuthenticationError(message: string): boolean {
  return /^(NOAUTH|WRONGPASS) |invalid password/.test(message);
}

/** Whether the server itself answered with an error; other errors are of the connection. */
export function isErrorReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}
