// Tracing as it is configured. The other modules of this folder, and with them the SDK, are loaded only if there is a
// collector: that takes a tenth of a second of the start.
import type { SpanListener } from './span-outcomes.ts';
import type { Tracing } from './tracing.ts';

/** As in config.ts. */
export interface TracingSettings {
  readonly OTEL_EXPORTER_OTLP_ENDPOINT: string;
  readonly OTEL_TRACES_SAMPLER: string;
  readonly OTEL_TRACES_SAMPLER_ARG: number;
  readonly OTEL_BSP_SCHEDULE_DELAY: number;
  readonly OTEL_BSP_MAX_QUEUE_SIZE: number;
  readonly OTEL_SDK_DISABLED: boolean;
}

interface TracingLog {
  warn(fields: object, message: string): void;
  info(message: string): void;
}

/**
 * Undefined if no traces are wanted.
 *
 * @param version of the service
 * @param log is told when spans are lost, and when they are not any more
 * @param onSpans counts them; undefined if nobody does
 */
export async function openTracing(
  settings: TracingSettings,
  version: string,
  log: () => TracingLog,
  onSpans: SpanListener | undefined,
): Promise<Tracing | undefined> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: isDisabled } = settings;
  if (endpoint === '' || isDisabled) return undefined;
  const [{ Tracing }, { ExportClient }, { samplingOf }] = await Promise.all([
    import('./tracing.ts'),
    import('./export-client.ts'),
    import('./sampling.ts'),
  ]);
  const exporting = new ExportClient({
    endpoint,
    version,
    delayMs: settings.OTEL_BSP_SCHEDULE_DELAY,
    queueMax: settings.OTEL_BSP_MAX_QUEUE_SIZE,
    onLost: (reason) => log().warn({ reason }, 'traces are not exported'),
    onRestored: () => log().info('traces are exported again'),
    onSpans,
  });
  return new Tracing(samplingOf(settings.OTEL_TRACES_SAMPLER, settings.OTEL_TRACES_SAMPLER_ARG), exporting);
}
