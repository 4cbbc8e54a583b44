// The heaviest requests of the Open Inference Protocol: as many bytes as a body may have, before or after they are inflated.
import { gzipSync } from 'node:zlib';
import type { HeavyCall } from '../heavy-calls.ts';

const PATH = '/v2/models/sunspots/infer';
const MiB = 2 ** 20;

/** @param bytes of a body */
export function heavyInferences(bytes: number): HeavyCall[] {
  const each = (size: number) => ({ parameters: { binary_data_size: size } });
  const N = 16;
  const T = Math.min(60_000, Math.floor(bytes / 8 / N) - 100);
  /** As long as an answer may be, with the 33 numbers of hs and ys for each row and step. */
  const answerT = Math.min(T, 7_000);
  const input = (datatype: string, size: number, steps = T) => ({ name: 'x', shape: [steps, N, 1], datatype, ...each(size * steps * N) });
  const outputs = [{ name: 'y' }];
  const json = () => Buffer.from(`{"outputs":[{"name":"y"}],"inputs":[{"name":"x","shape":[${T},${N},1],"datatype":"FP32","data":[${'0.125,'.repeat(T * N - 1)}0]}]}`);
  const call = (name: string, body: () => Buffer, headers: Record<string, string> = {}, status: HeavyCall['status'] = 200): HeavyCall => ({
    name: `v2: ${name}`,
    path: PATH,
    headers: { 'content-type': 'application/octet-stream', ...headers },
    body,
    status,
  });
  /** An odd length, so that no element is at an address of its size. */
  const raw = (name: string, request: object, tensors: () => Buffer, status?: HeavyCall['status']) => {
    const text = JSON.stringify(request);
    const head = text.length % 2 === 0 ? `${text} ` : text;
    return call(name, () => Buffer.concat([Buffer.from(head), tensors()]), { 'inference-header-content-length': String(head.length) }, status);
  };
  const rows = Math.floor(bytes / 8) - 200;
  const lengths = [{ name: 'x', shape: [1, rows, 1], datatype: 'FP32', ...each(4 * rows) }, { name: 'lengths', shape: [rows], datatype: 'INT32', ...each(4 * rows) }];
  return [
    call('JSON', json),
    call('JSON that is inflated', () => gzipSync(json(), { level: 1 }), { 'content-encoding': 'gzip' }),
    raw('bytes that are converted', { inputs: [input('FP64', 8)], outputs }, () => Buffer.alloc(8 * T * N)),
    raw('bytes, and an answer in bytes', { inputs: [input('FP32', 4, answerT)], parameters: { binary_data_output: true } }, () => Buffer.alloc(4 * answerT * N)),
    raw('one length for each of too many rows', { inputs: lengths }, () => Buffer.alloc(8 * rows), 'refused'),
    call('JSON that is broken at its end', () => Buffer.concat([json().subarray(0, -4), Buffer.from('"')]), {}, 'refused'),
    call('a bomb', () => gzipSync(Buffer.alloc(8 * bytes + 16 * MiB), { level: 1 }), { 'content-encoding': 'gzip' }, 'refused'),
  ];
}
