// All that `carryover doctor` looks at.
import type { Io } from '../io.ts';
import { checkAddress, checkMetrics } from './address.ts';
import type { Finding } from './finding.ts';
import { checkCores, checkMemory } from './resources.ts';
import { checkKernels, checkNode } from './runtime.ts';
import { checkCertificate, checkKeys, readConfigOrProblems } from './settings.ts';
import { checkAuditLog, checkBackupFolder, checkModelsFolder, checkStore } from './storage.ts';

/** In the order in which a service would need them. */
export async function examine(io: Io): Promise<Finding[]> {
  const { config, finding } = readConfigOrProblems(io.env);
  const resources = config ? [checkCores(config), checkMemory(config)] : [];
  const runtime = [checkNode(), await checkKernels(io)];
  if (!config) return [...runtime, finding];
  const address = await checkAddress(config, io);
  const storage = [await checkStore(config, address.isServing), checkBackupFolder(config), checkModelsFolder(config), checkAuditLog(config)];
  const access = [checkKeys(config), checkCertificate(config)];
  return [...runtime, finding, ...resources, ...storage, ...access, address.finding, await checkMetrics(config, address.isServing)];
}
