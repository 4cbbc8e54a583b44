// What a person at the terminal reads when the service has started.
import { styleText } from 'node:util';

export interface Started {
  readonly version: string;
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** By which clients reach it, if that is another address. */
  readonly publicUrl: string | undefined;
  /** Of /metrics; undefined if there are none. */
  readonly metricsUrl: string | undefined;
  /** The store, and what an answered change survives. */
  readonly store: string;
  /** Processes that serve together. */
  readonly processes: number;
  /** Of each process. */
  readonly workers: number;
  /** Which vectors the kernels run with: simd128 or simd256. */
  readonly kernel: string;
  readonly needsKey: boolean;
  /** Whether other machines may reach it. */
  readonly isBeyondMachine: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** @param stream where it is written: with colours if that is a terminal, and NO_COLOR is not set */
export function greeting(started: Started, stream: NodeJS.WritableStream): string {
  const { version, url, publicUrl, metricsUrl, store, kernel } = started;
  const styled = (style: Style, text: string) => styleText(style, text, { stream });
  const link = (address: string) => styled(['cyan', 'underline'], address);
  const row = (name: string, text: string) => `  ${styled('dim', name.padEnd(8))} ${text}`;
  const keyHeader = started.needsKey ? `\n    -H "authorization: Bearer $CARRYOVER_API_KEY" \\` : '';
  const rows = [
    row('Page', link(`${url}/`)),
    row('API', link(`${url}/docs`)),
    ...(publicUrl === undefined ? [] : [row('Public', link(publicUrl))]),
    row('Metrics', metricsUrl === undefined ? 'none (METRICS_PORT)' : link(metricsUrl)),
    row('Store', store),
    row('Compute', `${threadsOf(started)}, ${kernel === 'simd256' ? 256 : 128}-bit vectors`),
    row('Access', accessOf(started, styled)),
  ];
  return `
  ${styled('bold', 'Carryover')} ${version}  ${styled('dim', 'recurrent networks: tanh, GRU and LSTM, the same bits every time')}

${rows.join('\n')}

  curl ${url}/v1/step -H 'content-type: application/json' \\${keyHeader}
    -d '{"weights":{"W_x":[[0.5,-0.25]],"W_h":[[0.1,0.2],[-0.3,0.4]]},"x":[[1]]}'

`;
}

function threadsOf({ processes, workers }: Started): string {
  const text = `${workers} ${workers === 1 ? 'worker' : 'workers'}`;
  return processes === 1 ? text : `${processes} processes with ${text} each`;
}

function accessOf({ needsKey, isBeyondMachine }: Started, styled: (style: Style, text: string) => string): string {
  if (needsKey) return `${isBeyondMachine ? 'all who reach this address' : 'this machine only'}, with an API key or a token`;
  if (!isBeyondMachine) return 'this machine only; there are no API keys';
  return styled(['bold', 'yellow'], 'WARNING: all who reach this address; there are no API keys');
}
