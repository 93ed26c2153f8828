# syntax=docker/dockerfile:1

# One image for every command of the binary: `docker run IMAGE ingest`, `docker run IMAGE migrate`, and so on.
# The versions are those of deploy/local/setup.sh (Node) and Cargo.toml (Rust); a test compares them.

# --- The page, which goes into the binary ---
FROM node:24.19.0-bookworm-slim AS page
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY frontend/ ./
RUN npm run --silent build

# --- The binary ---
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential libssl-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=page /src/frontend/dist frontend/dist
# What cargo fetched and built stays for the next build. Our own files are touched, so that they are built again also
# when they are older than what a build of another checkout left there.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --package flashsale \
    && install -D --mode=755 target/release/flashsale /out/flashsale

# --- The binary alone, to be taken out: docker build --target binary --output type=local,dest=. . ---
FROM scratch AS binary
COPY --from=build /out/flashsale /flashsale

# --- The image ---
FROM debian:12-slim AS image
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 flashsale \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin flashsale
COPY --from=build /out/flashsale /usr/local/bin/flashsale
# By number, so that a cluster can see that it is not root. Nothing is written: the root may be read-only.
USER 10001:10001
ENV FLASHSALE_HTTP_ADDRESS=0.0.0.0:8080 \
    FLASHSALE_LOG_JSON=true
EXPOSE 8080
# A process waits up to a minute for its servers before it answers anything.
HEALTHCHECK --interval=5s --timeout=5s --start-period=70s --start-interval=1s --retries=3 CMD ["flashsale", "health"]
ENTRYPOINT ["flashsale"]
CMD ["--help"]
