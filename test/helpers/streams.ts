// Readers of streams: lines, and events as browsers read them.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

export interface StreamLine {
  readonly t?: number;
  readonly done?: boolean;
  readonly error?: { readonly code: string; readonly detail: string; readonly instance: string };
  readonly h?: any;
  readonly y?: any;
  readonly trace?: any;
}

/** @throws if the text does not end with a line break, as when it was truncated */
export function readLines(text: string): StreamLine[] {
  if (!text.endsWith('\n')) throw new Error(`cut: …${text.slice(-100)}`);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
}

export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/**
 * An event stream by the rules of HTML's EventSource ("interpreting an event stream"): lines end with
 * LF, CR LF or CR, an empty one dispatches, one that begins with a colon is a comment, one space
 * behind the colon of a field is dropped, an event without data is none.
 */
export class EventReader {
  readonly events: ServerEvent[] = [];
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #type = '';
  #data = '';
  #lastEventId = '';

  /** Bytes as they arrive, split anywhere. */
  push(bytes: Uint8Array): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    // A CR at the end may be the first half of a CR LF.
    for (;;) {
      const found = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (!found) return;
      this.#line(this.#rest.slice(0, found.index));
      this.#rest = this.#rest.slice(found.index + found[0].length);
    }
  }

  #line(line: string): void {
    if (line === '') return this.#dispatch();
    if (line.startsWith(':')) return;
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
    if (name === 'event') this.#type = value;
    else if (name === 'data') this.#data += `${value}\n`;
    else if (name === 'id' && !value.includes('\0')) this.#lastEventId = value;
  }

  #dispatch(): void {
    if (this.#data !== '') {
      const data = this.#data.slice(0, -1);
      this.events.push({ type: this.#type || 'message', data, lastEventId: this.#lastEventId });
    }
    this.#type = '';
    this.#data = '';
  }
}

/** The answer to a POST, not read yet: its reader decides how fast. */
export async function openStream(
  url: string,
  body: unknown,
  accept = 'application/x-ndjson',
): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json', accept };
  const sent = request(url, { method: 'POST', headers, agent: false });
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Everything until the end; what came before the connection was lost, if it is. */
export async function readAll(response: IncomingMessage): Promise<{ text: string; wasTerminated: boolean }> {
  const parts: Buffer[] = [];
  let wasTerminated = false;
  try {
    for await (const part of response) parts.push(part as Buffer);
  } catch {
    wasTerminated = true;
  }
  return { text: Buffer.concat(parts).toString(), wasTerminated };
}
