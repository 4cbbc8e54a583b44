// SIGHUP. It means two things: read the certificate again; or the terminal is gone, and with it who started the process.
import { closeSync, openSync } from 'node:fs';

export interface HangUp {
  readonly reload: () => void;
  readonly close: () => void;
}

export function onHangUp({ reload, close }: HangUp): void {
  const hasTerminal = canOpenTerminal();
  process.on('SIGHUP', () => {
    if (hasTerminal && !canOpenTerminal()) close();
    else reload();
  });
}

/** Whether the process has a terminal that is still there. */
function canOpenTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
