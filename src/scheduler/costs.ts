// Estimates how long work takes: the time for its operations at the speed of its kind, or the time to read its weights
// from the cache or memory that holds them, whichever is longer.
//
// The speeds are measured at the start. What work really takes corrects them for its kind and size of weights, as other
// load on the machine, a varying clock rate and other threads on the same caches are part of it.

/** What work does. If only flops are given, it has the speed of a step. */
export interface Cost {
  /** float32 operations, or work that takes as long. */
  readonly flops: number;
  /** All work of one kind has the same speed. */
  readonly kind?: string | undefined;
  /** Size of its weights in bytes, which decides in which cache they are. */
  readonly weightsBytes?: number | undefined;
  /** Bytes of weights that it reads, each as often as it is read. */
  readonly readBytes?: number | undefined;
}

export interface Speeds {
  /** The speed of kinds that are not in flopsPerMsOf. */
  readonly flopsPerMs: number;
  readonly flopsPerMsOf: Readonly<Record<string, number>>;
  /** Read speeds by the size of the weights, ascending: from each level of cache, and from memory. */
  readonly memory: readonly MemorySpeed[];
}

export interface MemorySpeed {
  readonly bytesMax: number;
  readonly bytesPerMs: number;
}

/** After this much work, in ms, the correction has followed 63 % of a change of speed. */
const CORRECTION_TIME_CONSTANT_MS = 200;
/**
 * Slices that take more times their estimate count as this many: they were interrupted, and the next ones may not be.
 */
const OUTLIER = 10;
const CORRECTION_MAX = 50;

/** The speeds of this machine, as measured and corrected. */
export class Costs {
  #speeds: Speeds = { flopsPerMs: Infinity, flopsPerMsOf: {}, memory: [] };
  /** Time taken ÷ estimate by the speeds measured at the start, for each class of work. */
  readonly #corrections = new Map<string, number>();

  set speeds(speeds: Speeds) {
    this.#speeds = speeds;
    this.#corrections.clear();
  }

  /** The estimate in ms, corrected by what work of its class took recently. */
  msOf(cost: Cost): number {
    return this.atStartMsOf(cost) * (this.#corrections.get(this.#classOf(cost)) ?? 1);
  }

  /** The estimate in ms by the speeds measured at the start: the same as long as the process lives. */
  atStartMsOf({ flops, kind, weightsBytes = 0, readBytes = 0 }: Cost): number {
    const { flopsPerMs, flopsPerMsOf } = this.#speeds;
    const computingMs = flops / (flopsPerMsOf[kind ?? ''] ?? flopsPerMs);
    const memory = this.#memoryOf(weightsBytes);
    return Math.max(computingMs, memory ? readBytes / memory.bytesPerMs : 0);
  }

  /** Corrects the estimates. @param share the share of the work that took `tookMs`, 0 … 1 */
  learn(cost: Cost, share: number, tookMs: number): void {
    const startMs = this.atStartMsOf(cost) * share;
    if (!(startMs > 0)) return;
    const name = this.#classOf(cost);
    const correction = this.#corrections.get(name) ?? 1;
    const estimateMs = startMs * correction;
    const ratio = Math.min(OUTLIER, tookMs / estimateMs);
    const weight = 1 - Math.exp(-estimateMs / CORRECTION_TIME_CONSTANT_MS);
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
