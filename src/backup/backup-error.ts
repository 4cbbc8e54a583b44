// Why no backup was made, as `POST /backup` answers it. The port is the operator's, so these are no codes of the API.

export type BackupErrorCode =
  | 'backups_off'
  | 'backup_running'
  | 'backup_folder_unusable'
  | 'backup_disk_full'
  | 'backup_damaged'
  | 'backup_failed'
  | 'shutting_down';

const STATUS: Readonly<Record<BackupErrorCode, number>> = {
  backups_off: 404,
  backup_running: 409,
  backup_folder_unusable: 500,
  backup_disk_full: 507,
  backup_damaged: 500,
  backup_failed: 503,
  shutting_down: 503,
};

export class BackupError extends Error {
  readonly code: BackupErrorCode;

  /** @param detail what was found and what to do, in full sentences */
  constructor(code: BackupErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }

  /** Of the answer. */
  get status(): number {
    return STATUS[this.code];
  }
}
