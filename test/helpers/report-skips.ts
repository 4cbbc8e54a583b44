// The end of a run says what it did not test. With CI=true the run has then failed.
import type { Reporter, TestModule } from 'vitest/node';

export default class ReportSkips implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests('skipped')].map((test) => `${module.relativeModuleId}: ${test.fullName}`),
    );
    if (skipped.length === 0) return;
    process.stderr.write(`\n!!! SKIPPED, hence not tested:\n${skipped.map((line) => `!!!   ${line}\n`).join('')}`);
    if (process.env.CI) process.exitCode = 1;
  }
}
