// Peers that hold connections without completing a request: silent, slow, one byte at a time, never reading,
// never closing. A peer that is disconnected connects again, until stopReconnecting() is called; from then on
// the connected ones stay as they are, for as long as the server keeps them. Their actions are spread in time:
// the first connections over `spreadMs`, and those that send bytes have a phase each.
import { type Socket, connect } from 'node:net';
import { requestText } from '../helpers/request-text.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const BODY_BYTES = 32 * 1024 * 1024;
/** Between two bytes of those that send one at a time. */
const BYTE_EVERY_MS = 100;
const PHASES = 20;

const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': BODY_BYTES });
const chunkedHead = requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'chunked' });
const live = requestText('GET', '/health/live');

export interface Behaviour {
  /** Sent at once. */
  readonly first: string;
  /** Sent again and again. */
  readonly drip?: string;
  readonly reads: boolean;
}

/** @param sessionId of a session, for those that begin a WebSocket */
export function behaviours(sessionId: string): Readonly<Record<string, Behaviour>> {
  const handshake = requestText('GET', `/v1/sessions/${sessionId}/stream`, {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': 13,
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  });
  return {
    'says nothing': { first: '', reads: true },
    'says nothing, reads nothing': { first: '', reads: false },
    'half a head': { first: head.slice(0, 30), reads: true },
    'a head, a byte at a time': { first: head.slice(0, 30), drip: 'x', reads: true },
    'a head and no body': { first: head, reads: false },
    'a body, a byte at a time': { first: head, drip: ' ', reads: true },
    'chunks of a byte': { first: chunkedHead, drip: '1\r\n \r\n', reads: true },
    'reads no answer': { first: requestText('GET', '/openapi.json').repeat(100), reads: false },
    'keeps its connection': { first: live, reads: true },
    'line ends after an answer': { first: live, drip: '\r\n', reads: true },
    'half a message': { first: `${handshake}\x82\xff\x00\x00\x00\x00\x01\x00\x00\x00mask1`, reads: true },
  };
}

interface Peer {
  readonly behaviour: Behaviour;
  readonly sinceMs: number;
  /** At which part of BYTE_EVERY_MS it sends, 0 … PHASES - 1. */
  readonly phase: number;
  /** Another peer has connected in its place. */
  isReplaced: boolean;
}

export interface PeersOptions {
  readonly port: number;
  /** Of a session, for those that begin a WebSocket. */
  readonly sessionId: string;
  /** Of all kinds together; each kind has the same share. */
  readonly count: number;
  /** Until the last of them has connected. */
  readonly spreadMs: number;
  /** A peer that does not notice that it was disconnected connects again after this time. */
  readonly reconnectAfterMs: number;
}

export class HostilePeers {
  readonly #port: number;
  readonly #reconnectAfterMs: number;
  readonly #peers = new Map<Socket, Peer>();
  readonly #dripping: NodeJS.Timeout;
  #phase = 0;
  #reconnects = true;
  /** Connections made so far. */
  connected = 0;

  constructor({ port, sessionId, count, spreadMs, reconnectAfterMs }: PeersOptions) {
    this.#port = port;
    this.#reconnectAfterMs = reconnectAfterMs;
    const kinds = Object.values(behaviours(sessionId));
    for (let k = 0; k < count; k++) {
      setTimeout(() => this.#reconnects && this.#connect(kinds[k % kinds.length]!), (spreadMs * k) / count);
    }
    this.#dripping = setInterval(() => this.#drip(), BYTE_EVERY_MS / PHASES);
  }

  /** From now on no peer connects again. */
  stopReconnecting(): void {
    this.#reconnects = false;
  }

  /** Ends what the server has not ended. */
  end(): void {
    this.stopReconnecting();
    clearInterval(this.#dripping);
    for (const socket of this.#peers.keys()) socket.destroy();
  }

  #connect(behaviour: Behaviour): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true });
    const phase = this.connected++ % PHASES;
    const peer = { behaviour, sinceMs: performance.now(), phase, isReplaced: false };
    this.#peers.set(socket, peer);
    socket.on('error', () => {});
    // It does not close its side, whatever the server does.
    socket.once('end', () => this.#replace(peer));
    socket.once('close', () => {
      this.#peers.delete(socket);
      this.#replace(peer);
    });
    if (behaviour.reads) socket.resume();
    else socket.pause();
    if (behaviour.first) socket.write(behaviour.first, 'latin1');
  }

  #replace(peer: Peer): void {
    if (peer.isReplaced || !this.#reconnects) return;
    peer.isReplaced = true;
    this.#connect(peer.behaviour);
  }

  #drip(): void {
    const replacedBeforeMs = performance.now() - this.#reconnectAfterMs;
    this.#phase = (this.#phase + 1) % PHASES;
    for (const [socket, peer] of this.#peers) {
      if (peer.phase !== this.#phase) continue;
      const { drip } = peer.behaviour;
      if (drip && socket.writable) socket.write(drip);
      if (peer.sinceMs < replacedBeforeMs) this.#replace(peer);
    }
  }
}
