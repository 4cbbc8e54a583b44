// The options of `npm run load`.
import { parseArgs } from 'node:util';
import { secondsOf, wholeNumber } from '../report/program.ts';
import { type Mode, MODES } from './cases.ts';

export const HELP = `\
npm run load                    requests/s and latency of a closed loop, by autocannon
npm run load -- --open          latency at constant rates, counted from when each request was due

  --mode steps|sessions|batch   one step of a registered model (default), a step of one of many sessions, or
                                POST /v1/batch
  --sessions COUNT              in these two modes, stepped in turn (2,048)
  --items COUNT                 of a batch, 1 … 256 (64)
  --url URL                     a service that runs; else one is started with the settings of the environment
  --seconds NUMBER              length of one measurement (3)
  --rounds COUNT                measurements of each request or rate (4; with --open 3)
  --json FILE                   writes every number

With --open:
  --rates N,N,…                 requests/s; else shares of the capacity, which a closed loop measures first
  --connections COUNT           a request that finds all of them busy waits, and that counts (64)
  --servers N,N,…               compares so many services that share nothing (1)
  --processes N,N,…             compares one service of so many processes (PROCESSES), with sessions in Redis
  --out FOLDER                  of load-MODE.svg, the chart (data/load)
`;

export interface LoadOptions {
  readonly isOpen: boolean;
  readonly mode: Mode;
  readonly sessions: number;
  readonly items: number;
  readonly url: string | undefined;
  readonly seconds: number;
  readonly rounds: number;
  readonly json: string | undefined;
  readonly rates: readonly number[] | undefined;
  readonly connections: number;
  readonly servers: readonly number[];
  readonly processes: readonly number[];
  readonly out: string;
}

const ITEMS_MAX = 256;

/** @returns undefined if help is asked for @throws Error that says what was expected */
export function readLoadOptions(args: readonly string[]): LoadOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', default: false },
      open: { type: 'boolean', default: false },
      mode: { type: 'string', default: 'steps' },
      sessions: { type: 'string', default: '2048' },
      items: { type: 'string', default: '64' },
      url: { type: 'string' },
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      rates: { type: 'string' },
      connections: { type: 'string' },
      servers: { type: 'string' },
      processes: { type: 'string' },
      out: { type: 'string' },
    },
  });
  if (values.help) return undefined;
  const mode = MODES.find((one) => one === values.mode);
  if (!mode) throw new Error(`--mode must be one of ${MODES.join(', ')}.`);
  const ofOpen = (['rates', 'connections', 'servers', 'processes', 'out'] as const).find((name) => values[name] !== undefined);
  if (ofOpen && !values.open) throw new Error(`--${ofOpen} is an option of --open.`);
  const items = wholeNumber('items', values.items);
  if (items > ITEMS_MAX) throw new Error(`--items must be at most ${ITEMS_MAX}, as a batch takes no more.`);
  const processes = numbersOf('processes', values.processes);
  return {
    isOpen: values.open,
    mode,
    sessions: wholeNumber('sessions', values.sessions, mode === 'batch' ? items : 1),
    items,
    url: values.url?.replace(/\/$/, ''),
    seconds: secondsOf(values.seconds, values.open ? 0.1 : 1),
    rounds: wholeNumber('rounds', values.rounds ?? (values.open ? 3 : 4)),
    json: values.json,
    rates: values.rates === undefined ? undefined : numbersOf('rates', values.rates),
    connections: wholeNumber('connections', values.connections ?? 64),
    servers: values.servers === undefined && processes.length > 0 ? [] : numbersOf('servers', values.servers ?? '1'),
    processes,
    out: values.out ?? 'data/load',
  };
}

/** @returns none if the option is absent */
function numbersOf(option: string, text: string | undefined): number[] {
  return text === undefined ? [] : text.split(',').map((part) => wholeNumber(option, part));
}
