// The end of a run says what it did not test. With CI=true the run has then failed.
import type { Reporter, TestModule, Vitest } from 'vitest/node';

export default class ReportSkips implements Reporter {
  /** With -t all others are skipped because that was asked for. */
  #isFiltered = false;

  onInit({ config }: Vitest): void {
    this.#isFiltered = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests('skipped')].map((test) => `${module.relativeModuleId}: ${test.fullName}`),
    );
    if (skipped.length === 0 || this.#isFiltered) return;
    process.stderr.write(`\n!!! SKIPPED, hence not tested:\n${skipped.map((line) => `!!!   ${line}\n`).join('')}`);
    if (process.env.CI) process.exitCode = 1;
  }
}
