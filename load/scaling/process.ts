// One of the processes that share nothing (processes.ts). A message is a number of seconds; the answer is the
// runs per second of the job in that time.
import { startHost } from '../kernels/host.ts';
import { packModel } from '../cases/packed-model.ts';
import { type Sizes, makeJob, makeSequenceCase } from '../cases/sequence-case.ts';

const RUNS_MIN = 3;

const sequence = makeSequenceCase(JSON.parse(process.argv[2]!) as Sizes);
const { memory, kernels } = startHost();
const job = makeJob(memory, packModel(memory, [sequence.layer]), sequence);

process.on('message', (seconds: number) => {
  const startMs = performance.now();
  let runs = 0;
  let tookMs = 0;
  while (tookMs < seconds * 1000 || runs < RUNS_MIN) {
    kernels.run(job.ptr);
    runs++;
    tookMs = performance.now() - startMs;
  }
  process.send!((runs * 1000) / tookMs);
});
process.send!(0);
