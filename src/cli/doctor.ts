// carryover doctor: whether a service can run here, with these settings.
import type { Command } from 'commander';
import type { Status } from './doctor/finding.ts';
import { type Io, print, printJson } from './io.ts';
import { withExamples, withJson } from './options.ts';
import { colour } from './style.ts';
import { formatTable } from './table.ts';

export function doctorCommand(program: Command, io: Io): void {
  const command = withJson(program.command('doctor'))
    .description(
      'Check whether a service can run here: Node.js, the kernels and their bits, the settings of the environment, cores, ' +
        'memory, the store and the port. Nothing is changed.',
    )
    .addHelpText('after', '\nThe exit code is that of the first line that says fail, and 0 if there is none.')
    .action((options: { json?: boolean }) => doctor(options, io));
  withExamples(command, ['doctor', 'doctor --json']);
}

async function doctor({ json }: { json?: boolean }, io: Io): Promise<void> {
  // It reads the settings, for which it needs the validator of the service.
  const { examine } = await import('./doctor/examine.ts');
  const findings = await examine(io);
  const failed = findings.find(({ status }) => status === 'fail');
  if (failed) io.setExitCode(failed.exitCode!);
  if (json)
    return printJson(
      io,
      findings.map(({ name, status, found, advice }) => ({ name, status, found, advice })),
    );
  const rows = findings.map(({ status, name, found }) => [status.padEnd(4), name, found]);
  const lines = formatTable(rows, () => 'left').split('\n');
  const shown = findings.flatMap(({ status, advice }, k) => [
    styled(lines[k]!, status, io),
    ...(advice === undefined ? [] : [`      ${advice}`]),
  ]);
  await print(io, shown.join('\n'));
}

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const satisfies Record<Status, string>;

function styled(line: string, status: Status, io: Io): string {
  return line.replace(status, colour(io, COLOURS[status], status));
}
