/**
 * OpenTelemetry's SDK, for the spans that are made through its API elsewhere; without it they cost next to nothing.
 * Its own variables (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_…`,
 * `OTEL_BSP_…`) say the rest.
 */
import { context, diag, propagation, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import type { Logger } from './log.ts';
import { CODE_VERSION } from './version.ts';

/** Begins to send spans to the collector of the environment; `stop` sends what is left, within `timeoutMs`. */
export function startTracing(role: string, log: Logger): { stop(timeoutMs: number): Promise<void> } {
  // A collector that is away shows in the log, and holds nothing up.
  const warn = (message: string) => log.warn({ reason: message }, 'traces could not be sent');
  const ignore = () => undefined;
  diag.setLogger({ error: warn, warn, info: ignore, debug: ignore, verbose: ignore });
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': 'alignsae-server',
        'service.version': CODE_VERSION,
        'alignsae.role': role,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new NodeTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register();
  return {
    async stop(timeoutMs) {
      await Promise.race([
        provider.shutdown().catch(({ message }) => warn(message)),
        new Promise((resolve) => setTimeout(resolve, timeoutMs).unref()),
      ]);
      for (const api of [trace, context, propagation, diag]) api.disable();
    },
  };
}
