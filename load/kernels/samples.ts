// Times of runs. Implementations that are compared alternate, round by round.

/** Long enough for V8 to replace its baseline code of the kernels by the optimised code. */
const WARM_UP_SECONDS = 0.2;

export interface Implementation {
  /** Computes the whole case `count` times. */
  readonly repeat: (count: number) => void | Promise<void>;
}

/** Microseconds of a run, by implementation; one element for each round. */
export type Samples<Name extends string> = Readonly<Record<Name, number[]>>;

export interface Sampling {
  readonly rounds: number;
  /** Least length of a sample. */
  readonly seconds: number;
}

/** @param afterRound called at the end of each round */
export async function sampleInTurn<Name extends string>(
  implementations: Readonly<Record<Name, Implementation>>,
  { rounds, seconds }: Sampling,
  afterRound: () => Promise<void> = async () => undefined,
): Promise<Samples<Name>> {
  const entries = Object.entries<Implementation>(implementations);
  const counts: number[] = [];
  for (const [, implementation] of entries) counts.push(await warmUp(implementation, seconds));
  const samples = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (const [i, [name, implementation]] of entries.entries()) {
      samples[name as Name].push(await sampleUs(implementation, counts[i]!));
    }
    await afterRound();
  }
  return samples;
}

/** Runs for WARM_UP_SECONDS. @returns the number of runs that take `seconds` */
async function warmUp({ repeat }: Implementation, seconds: number): Promise<number> {
  for (let count = 1; ; count *= 2) {
    const startMs = performance.now();
    await repeat(count);
    const took = (performance.now() - startMs) / 1000;
    if (took >= WARM_UP_SECONDS) return Math.ceil((count * seconds) / took);
  }
}

/** Mean time of a run. The first run is not timed: it refills the caches after the other implementation. */
async function sampleUs({ repeat }: Implementation, count: number): Promise<number> {
  await repeat(1);
  const startMs = performance.now();
  await repeat(count);
  return ((performance.now() - startMs) * 1000) / count;
}
