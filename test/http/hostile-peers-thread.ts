// Hostile peers on a thread of their own: what they do must not delay the clients that are measured. Says how
// many connections they have made, each time it is sent a message: 'give up', then 'end'.
import { parentPort, workerData } from 'node:worker_threads';
import { HostilePeers, type PeersOptions } from './hostile-peers.ts';

const peers = new HostilePeers(workerData as PeersOptions);
parentPort!.on('message', (wish: 'give up' | 'end') => {
  if (wish === 'give up') peers.giveUp();
  else peers.end();
  parentPort!.postMessage(peers.connected);
  if (wish === 'end') parentPort!.close();
});
