// What is sent to Redis, as often as it takes.
import type { Argument, RedisCommand } from './client.ts';
import type { Script } from './script.ts';

export interface Request {
  readonly command: RedisCommand;
  /** The same with the source of the script, for a server that does not have it. */
  readonly commandWithSource?: RedisCommand;
  /** Whether it changes anything: only then a lost reply leaves open whether it has. */
  readonly isWrite: boolean;
}

/** The execution of a script, which may change something. */
export function requestOf({ source, sha }: Script, keys: readonly string[], args: readonly Argument[]): Request {
  const rest = [String(keys.length), ...keys, ...args];
  return {
    command: { name: 'evalsha', args: [sha, ...rest] },
    commandWithSource: { name: 'eval', args: [source, ...rest] },
    isWrite: true,
  };
}
