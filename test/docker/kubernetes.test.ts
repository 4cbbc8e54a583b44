// The manifests in docker/k8s: they are what the Kubernetes API takes, and agree with the service, its image and themselves.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { memoryLimitBytes } from '../../docker/memory.ts';
import { ConfigSchema, readConfig } from '../../src/config.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { buildApp } from '../helpers/app.ts';
import { TEMPLATE } from '../helpers/gateway.ts';
import { type KubernetesObject, renderKustomization } from '../helpers/kustomize.ts';
import { programPath } from '../helpers/needs.ts';
import { typeErrorsOf } from './kubernetes-types.ts';

const docker = join(import.meta.dirname, '../../docker');
const dockerfile = readFileSync(join(docker, '../Dockerfile'), 'utf8');
const folderOf = (overlay: string) => join(docker, 'k8s', overlay);
const OVERLAYS = ['sqlite', 'redis'] as const;
const rendered = {
  sqlite: renderKustomization(folderOf('sqlite')),
  redis: renderKustomization(folderOf('redis')),
};

function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

const workloads = {
  sqlite: find(rendered.sqlite, 'StatefulSet', 'carryover'),
  redis: find(rendered.redis, 'Deployment', 'carryover'),
};
const podOf = (overlay: (typeof OVERLAYS)[number]) => workloads[overlay].spec.template.spec;
const containerOf = (overlay: (typeof OVERLAYS)[number]) => podOf(overlay).containers[0];

/** The values of a container's environment; those of Secrets are named by them. */
function environmentOf({ env }: any): Record<string, string> {
  return Object.fromEntries(env.map(({ name, value, valueFrom }: any) => [name, value ?? `from ${valueFrom.secretKeyRef.name}`]));
}

/** As the container has it, with the ENV of the image. */
function configOf(overlay: (typeof OVERLAYS)[number]) {
  const { STORE_URL = '', ...others } = environmentOf(containerOf(overlay));
  const store = STORE_URL.startsWith('from ') ? 'redis://:secret@carryover-store:6379/0' : STORE_URL;
  return readConfig({ HOST: '0.0.0.0', PORT: '8080', STORE_URL: store, ...others });
}

describe('the Kubernetes API', () => {
  test.each(OVERLAYS)('%s: all objects have the fields and types that it knows', async (overlay) => {
    const errors = await typeErrorsOf(rendered[overlay]);
    expect(errors.flat()).toEqual([]);
    expect(errors.length).toBeGreaterThan(4);
  });

  test('control: an unknown field, a wrong type and a missing field are refused, of custom resources too', async () => {
    const change = (object: KubernetesObject, edit: (spec: any) => void) => {
      const { spec, ...others } = structuredClone(object);
      edit(spec);
      return { ...others, spec };
    };
    const { redis } = rendered;
    const deployment = workloads.redis;
    const scaled = find(redis, 'ScaledObject', 'carryover');
    const errors = await typeErrorsOf([
      change(deployment, (spec) => (spec.template.spec.containers[0].securityContext.readOnlyRootFs = true)),
      change(deployment, (spec) => (spec.template.spec.terminationGracePeriodSeconds = '50')),
      change(deployment, (spec) => delete spec.selector),
      change(scaled, (spec) => (spec.minReplicas = 2)),
      change(scaled, (spec) => (spec.triggers[0].metadata.threshold = 1)),
      change(find(redis, 'ServiceMonitor', 'carryover'), (spec) => (spec.endpoint = [])),
      deployment,
    ]);
    expect(errors.map((found) => found.length > 0)).toEqual([true, true, true, true, true, true, false]);
    expect(errors[0]!.join()).toContain('readOnlyRootFs');
  });

  // Debian's kubectl may be older than what it would have to understand, so it is not required.
  if (programPath('kubectl')) {
    test.each(OVERLAYS)('%s: kubectl kustomize renders the same', (overlay) => {
      const text = execFileSync('kubectl', ['kustomize', folderOf(overlay)], { encoding: 'utf8' });
      const keyOf = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.name}`;
      const byKey = (objects: readonly KubernetesObject[]) => new Map(objects.map((object) => [keyOf(object), object]));
      expect(byKey(parseAllDocuments(text).map((document) => document.toJS()))).toEqual(byKey(rendered[overlay]));
    });
  } else console.warn('kubectl is not installed: docker/k8s is not compared with what it renders');
});

describe.each(OVERLAYS)('%s: the pods of the service', (overlay) => {
  const pod = podOf(overlay);
  const container = containerOf(overlay);
  const config = configOf(overlay);

  test('every setting exists, and together they are valid', () => {
    const names = Object.keys(environmentOf(container));
    expect(names.filter((name) => !Object.hasOwn(ConfigSchema.properties, name))).toEqual([]);
    // Beyond the machine the service would refuse to start without keys.
    expect(config.API_KEYS_FILE).toBe('/etc/carryover/keys.json');
  });

  test('the limit of memory is what the settings need, and that of the processor what the workers do', () => {
    const { requests, limits } = container.resources;
    expect(limits.memory).toBe(`${memoryLimitBytes(config) / 2 ** 20}Mi`);
    expect(requests.memory).toBe(limits.memory);
    expect(Number(limits.cpu)).toBe(config.WORKERS! + 1);
  });

  test('the pod has time to end by itself', () => {
    expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(config.SHUTDOWN_TIMEOUT_MS);
    // Requests and streams in progress have most of it.
    expect(config.DRAIN_DELAY_MS).toBeGreaterThan(0);
    expect(config.DRAIN_DELAY_MS).toBeLessThan(config.SHUTDOWN_TIMEOUT_MS / 2);
  });

  test('the probes ask what the service answers', async () => {
    const { http } = await buildApp();
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const { path, port } = container[name].httpGet;
      expect((await http.inject(path)).statusCode).toBe(200);
      expect(port).toBe('http');
    }
    expect(container.readinessProbe.httpGet.path).toBe('/health/ready');
    expect(container.livenessProbe.httpGet.path).toBe('/health/live');
    const ports = Object.fromEntries(container.ports.map((port: any) => [port.name, port.containerPort]));
    expect(ports).toEqual({ http: config.PORT, metrics: config.METRICS_PORT });
  });

  test('user, port and folder are those of the image', () => {
    expect(dockerfile).toContain('USER node');
    const [, uid, folder] = /RUN install -d -o (\d+) -g 0 -m 770 (\S+)/.exec(dockerfile)!;
    const { runAsUser, runAsNonRoot, fsGroup, runAsGroup } = pod.securityContext;
    expect({ runAsUser, runAsNonRoot, fsGroup }).toEqual({ runAsUser: Number(uid), runAsNonRoot: true, fsGroup: runAsGroup });
    expect(dockerfile).toContain(`PORT=${config.PORT}`);
    const mounted = container.volumeMounts.map(({ mountPath }: any) => mountPath);
    if (overlay === 'sqlite') expect(mounted).toContain(`/app/${folder}`);
    expect(mounted).toContain(dirname(config.API_KEYS_FILE));
  });
});

describe('the manifests', () => {
  test('the pods of both differ by their store only', () => {
    const common = (overlay: (typeof OVERLAYS)[number]) => {
      const { terminationGracePeriodSeconds: _grace, topologySpreadConstraints: _spread, containers, volumes, ...pod } = podOf(overlay);
      const [{ env, volumeMounts, ...container }] = containers;
      const own = ['STORE_URL', 'TRUST_PROXY', 'STORE_BYTES_MAX', 'DRAIN_DELAY_MS', 'SHUTDOWN_TIMEOUT_MS'];
      return {
        pod,
        container,
        env: env.filter(({ name }: any) => !own.includes(name)),
        mounts: volumeMounts.filter(({ name }: any) => name !== 'data'),
        volumes,
      };
    };
    expect(common('sqlite')).toEqual(common('redis'));
  });

  const all = [...rendered.sqlite, ...rendered.redis];
  const pods = all.filter(({ spec }) => spec.template).map(({ metadata, spec }) => ({ name: metadata.name, ...spec.template }));

  test.each(pods)('$name runs without privileges, on a root that it cannot write to, with bounded memory', ({ spec }) => {
    expect(spec.securityContext.runAsNonRoot).toBe(true);
    expect(spec.automountServiceAccountToken).toBe(false);
    const [container] = spec.containers;
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources.limits.memory).toMatch(/^\d+[MG]i$/);
    const volumes = (spec.volumes ?? []).map(({ name }: any) => name);
    const claims = all.flatMap((object) => object.spec.volumeClaimTemplates ?? []).map(({ metadata }: any) => metadata.name);
    for (const { name } of container.volumeMounts) expect([...volumes, ...claims]).toContain(name);
  });

  test('every selector finds pods, and every port of a Service is one of theirs', () => {
    for (const [objects, ofOverlay] of [rendered.sqlite, rendered.redis].map((list) => [list, list.filter(({ spec }) => spec.template)] as const)) {
      for (const { kind, metadata, spec } of objects) {
        const selector = spec.selector?.matchLabels ?? spec.podSelector?.matchLabels ?? spec.selector;
        if (kind === 'ServiceMonitor' || selector === undefined) continue;
        const selected = ofOverlay.filter((object) =>
          Object.entries(selector).every(([label, value]) => object.spec.template.metadata.labels[label] === value),
        );
        expect(selected, `${kind} ${metadata.name}`).toHaveLength(1);
        if (kind !== 'Service') continue;
        const ports = selected[0]!.spec.template.spec.containers[0].ports.map(({ name }: any) => name);
        for (const { targetPort } of spec.ports) expect(ports).toContain(targetPort);
      }
    }
  });

  test('Prometheus scrapes the port of the metrics, which it alone may reach', () => {
    const { spec: monitor } = find(rendered.redis, 'ServiceMonitor', 'carryover');
    const service = find(rendered.redis, 'Service', 'carryover-metrics');
    expect(service.metadata.labels).toEqual(monitor.selector.matchLabels);
    expect(monitor.endpoints[0]).toMatchObject({ port: service.spec.ports[0].name, path: '/metrics' });
    const { ingress } = find(rendered.redis, 'NetworkPolicy', 'carryover').spec;
    const { METRICS_PORT, PORT } = configOf('redis');
    const sourcesOf = (port: number) =>
      ingress.filter(({ ports }: any) => ports.some((allowed: any) => allowed.port === port)).flatMap(({ from }: any) => from);
    expect(sourcesOf(METRICS_PORT)).toEqual([
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
    ]);
    expect(sourcesOf(PORT)).toEqual([{ podSelector: {} }]);
    // A rule without ports would allow all of them.
    expect(ingress.every(({ ports, from }: any) => ports.length === 1 && from.length === 1)).toBe(true);
  });

  test('the service alone reaches the store', () => {
    const { spec } = find(rendered.redis, 'NetworkPolicy', 'carryover-store');
    expect(spec.ingress).toEqual([
      {
        from: [{ podSelector: { matchLabels: workloads.redis.spec.selector.matchLabels } }],
        ports: [{ port: 6379, protocol: 'TCP' }],
      },
    ]);
    const [container] = find(rendered.redis, 'StatefulSet', 'carryover-store').spec.template.spec.containers;
    const args = container.args.join(' ');
    for (const option of ['--maxmemory-policy noeviction', '--appendonly yes', '--appendfsync always']) expect(args).toContain(option);
  });

  test('replicas are added by the time that requests wait, which the service measures', () => {
    const { scaleTargetRef, minReplicaCount, triggers } = find(rendered.redis, 'ScaledObject', 'carryover').spec;
    expect(scaleTargetRef.name).toBe(workloads.redis.metadata.name);
    expect(workloads.redis.spec.replicas).toBeUndefined();
    expect(minReplicaCount).toBeGreaterThan(1);
    const [, name, labels] = /rate\((\w+)_sum\{(.*)\}\[/.exec(triggers[0].metadata.query)!;
    const metric = Object.values(METRICS).find((known) => known.name === name);
    expect(metric).toMatchObject({ type: 'histogram', labels: expect.arrayContaining(['part']) });
    expect(metric!.help).toContain('queue (');
    expect(labels).toContain('part="queue"');
    expect(labels).toContain(`namespace="${workloads.redis.metadata.namespace}"`);
  });

  test('the gateway has what its template takes, and finds the pods', () => {
    const { template } = find(rendered.redis, 'Deployment', 'carryover-gateway').spec;
    const [container] = template.spec.containers;
    const environment = environmentOf(container);
    const variables = new Set([...TEMPLATE.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => name!));
    // The image finds the resolvers itself.
    expect(variables.delete('NGINX_LOCAL_RESOLVERS')).toBe(true);
    expect(environment.NGINX_ENTRYPOINT_LOCAL_RESOLVERS).toBe('1');
    const given = Object.keys(environment).filter((name) => name.startsWith('CARRYOVER_'));
    expect(given.toSorted()).toEqual([...variables].toSorted());
    const filter = new RegExp(environment.NGINX_ENVSUBST_FILTER!);
    expect([...variables, 'NGINX_LOCAL_RESOLVERS'].filter((name) => !filter.test(name))).toEqual([]);
    expect(filter.test('NGINX_VERSION')).toBe(false);

    const service = find(rendered.redis, 'Service', 'carryover-replicas');
    const { namespace } = workloads.redis.metadata;
    expect(environment.CARRYOVER_SERVERS).toContain(`server ${service.metadata.name}.${namespace}.svc.cluster.local:8080 resolve`);
    expect(service.spec.clusterIP).toBe('None');
    // Names are looked up again, and requests in progress are completed, before a replica ends.
    const lookedUp_s = Number(/resolver .* valid=(\d+)s;/.exec(TEMPLATE)?.[1]);
    expect(lookedUp_s * 1_000).toBeLessThan(configOf('redis').DRAIN_DELAY_MS / 2);
  });
});
