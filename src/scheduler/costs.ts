// How long work will take, from what it does: its operations at the speed of its kind, or the bytes of
// weights that it reads at the speed of the memory they come from, whichever is longer.
//
// The speeds are measured at the start; what jobs really took corrects them, for each kind and size of weights,
// since other load on the machine, a clock that changes and other threads on the same caches are part of the
// answer.

/** What work does. Given flops only, it is done at the speed of a step. */
export interface Cost {
  /** float32 operations, or what takes as long. */
  readonly flops: number;
  /** Work of one kind has one speed. */
  readonly kind?: string | undefined;
  /** Of the weights it goes over, all together. */
  readonly weightsBytes?: number | undefined;
  /** How many bytes of weights it reads, each as often as it is read. */
  readonly readBytes?: number | undefined;
}

export interface Speeds {
  /** Of work that has no speed of its own. */
  readonly flopsPerMs: number;
  readonly flopsPerMsOf: Readonly<Record<string, number>>;
  /** By the size of what is read again and again, smallest first: larger sizes come from farther away. */
  readonly memory: readonly MemorySpeed[];
}

export interface MemorySpeed {
  readonly bytesMax: number;
  readonly bytesPerMs: number;
}

/** So much work and the correction follows what is measured by 63 %: some slices, not one. */
const MEMORY_MS = 200;
/** A slice that took longer, beside its estimate, was interrupted: that says nothing about the next. */
const OUTLIER = 10;
const CORRECTION_MAX = 50;

export class Costs {
  #speeds: Speeds = { flopsPerMs: Infinity, flopsPerMsOf: {}, memory: [] };
  /** Took / estimated at start, by kind and memory. */
  readonly #corrections = new Map<string, number>();

  set speeds(speeds: Speeds) {
    this.#speeds = speeds;
    this.#corrections.clear();
  }

  /** As jobs of its kind took lately. */
  msOf(cost: Cost): number {
    return this.atStartMsOf(cost) * (this.#corrections.get(this.#classOf(cost)) ?? 1);
  }

  /** By the speeds measured at the start: the same answer for as long as the process lives. */
  atStartMsOf({ flops, kind, weightsBytes = 0, readBytes = 0 }: Cost): number {
    const { flopsPerMs, flopsPerMsOf } = this.#speeds;
    const computingMs = flops / (flopsPerMsOf[kind ?? ''] ?? flopsPerMs);
    const memory = this.#memoryOf(weightsBytes);
    return Math.max(computingMs, memory ? readBytes / memory.bytesPerMs : 0);
  }

  /** @param share how much of the work it was that took `tookMs`, 0 … 1 */
  learn(cost: Cost, share: number, tookMs: number): void {
    const startMs = this.atStartMsOf(cost) * share;
    if (!(startMs > 0)) return;
    const name = this.#classOf(cost);
    const correction = this.#corrections.get(name) ?? 1;
    const estimateMs = startMs * correction;
    const ratio = Math.min(OUTLIER, tookMs / estimateMs);
    const weight = 1 - Math.exp(-estimateMs / MEMORY_MS);
    const next = correction * (1 + weight * (ratio - 1));
    this.#corrections.set(name, Math.min(CORRECTION_MAX, Math.max(1 / CORRECTION_MAX, next)));
  }

  #memoryOf(weightsBytes: number): MemorySpeed | undefined {
    const { memory } = this.#speeds;
    return memory.find(({ bytesMax }) => weightsBytes <= bytesMax) ?? memory.at(-1);
  }

  #classOf({ kind = '', weightsBytes = 0 }: Cost): string {
    return `${kind}/${this.#memoryOf(weightsBytes)?.bytesMax ?? 0}`;
  }
}
