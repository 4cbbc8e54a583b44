// Hostile peers on a thread of their own: their work must not delay the clients that are measured. Each message,
// 'stop reconnecting' and then 'end', is answered with the number of connections that they have made.
import { parentPort, workerData } from 'node:worker_threads';
import { HostilePeers, type PeersOptions } from './hostile-peers.ts';

const peers = new HostilePeers(workerData as PeersOptions);
parentPort!.on('message', (command: 'stop reconnecting' | 'end') => {
  if (command === 'stop reconnecting') peers.stopReconnecting();
  else peers.end();
  parentPort!.postMessage(peers.connected);
  if (command === 'end') parentPort!.close();
});
