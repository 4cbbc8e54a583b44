// Files of Keras with some bytes changed, by a seed: the archive, a file in it, or the HDF5 file.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readInflatedEntries } from '../../../../src/codec/zip/inflated-entries.ts';
import { randomOf } from '../../../helpers/framework-files.ts';
import { zip } from '../../../helpers/keras-files.ts';

const folder = join(import.meta.dirname, '../../../fixtures/keras');
const files = readdirSync(folder).filter((name) => !name.endsWith('.py')).map((name) => readFileSync(join(folder, name)));
const ENTRIES = ['config.json', 'model.weights.h5'];

type Random = ReturnType<typeof randomOf>;

export async function mutatedFile(seed: number): Promise<Buffer> {
  const random = randomOf(seed);
  const original = random.oneOf(files);
  const isArchive = original[0] === 0x50;
  if (!isArchive || random.pick(3) === 0) return mutated(original, random);
  // With checksums that are right again: else nothing behind them is reached.
  const entries = await readInflatedEntries(original, ENTRIES, 2 ** 24);
  const name = random.pick(4) === 0 ? ENTRIES[0]! : ENTRIES[1]!;
  return zip({ ...Object.fromEntries(entries), [name]: mutated(Buffer.from(entries.get(name)!), random) });
}

function mutated(original: Buffer, { pick, oneOf }: Random): Buffer {
  const bytes = Buffer.from(original);
  if (pick(5) === 0) return bytes.subarray(0, pick(bytes.length));
  // Most of what HDF5 describes is at the beginning.
  const end = pick(2) === 0 ? Math.min(4_096, bytes.length - 8) : bytes.length - 8;
  for (let changes = 1 + pick(12); changes > 0; changes--) {
    const at = pick(end);
    const change = oneOf(['byte', 'ones', 'zeros', 'copy'] as const);
    if (change === 'byte') bytes[at] = pick(256);
    else if (change === 'ones') bytes.fill(255, at, at + 1 + pick(8));
    else if (change === 'zeros') bytes.fill(0, at, at + 1 + pick(8));
    else bytes.copyWithin(at, pick(end), pick(end));
  }
  return bytes;
}
