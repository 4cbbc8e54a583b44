// Which requests are sampled: OTEL_TRACES_SAMPLER, as every OpenTelemetry SDK understands it.
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace';
import { SAMPLED, type TraceContext } from '../trace-context.ts';

/** @param parent the caller's span; undefined if the trace begins here */
export type Sampling = (parent: TraceContext | undefined, traceId: string) => boolean;

const PARENT_BASED = 'parentbased_';

/**
 * @param name with `parentbased_` the flag of the caller decides, and the rest where there is no caller
 * @param ratio of the traces that `traceidratio` samples, 0 … 1
 */
export function samplingOf(name: string, ratio: number): Sampling {
  const isParentBased = name.startsWith(PARENT_BASED);
  const isSampledByItself = rootSampling(isParentBased ? name.slice(PARENT_BASED.length) : name, ratio);
  if (!isParentBased) return (_, traceId) => isSampledByItself(traceId);
  return (parent, traceId) => (parent ? (parent.flags & SAMPLED) !== 0 : isSampledByItself(traceId));
}

function rootSampling(name: string, ratio: number): (traceId: string) => boolean {
  if (name === 'always_on') return () => true;
  if (name === 'always_off') return () => false;
  // Of the library: services that share a trace must decide alike.
  const sampler = new TraceIdRatioBasedSampler(ratio);
  return (traceId) => sampler.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
}
