# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the compiled dependencies, so a change of the source compiles only the source.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package testmo-courier --package testmo-sim --bins \
    && install -D -t /out target/release/testmo-courier target/release/testmo-sim

# A stand-in for Testmo, to try the worker with: docker build --target simulator
FROM debian:bookworm-slim AS simulator
COPY --from=build /out/testmo-sim /usr/local/bin/testmo-sim
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["testmo-sim"]
CMD ["--listen", "0.0.0.0:8080", "--allow-any-address"]

FROM debian:bookworm-slim AS courier
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && apt-get clean && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 courier \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/testmo-courier courier \
    && install -d -m 700 -o courier -g courier /var/lib/testmo-courier
COPY --from=build /out/testmo-courier /usr/local/bin/testmo-courier
ENV COURIER_STORE__URL=sqlite:/var/lib/testmo-courier/courier.db \
    COURIER_KEYS__MASTER_KEY_FILE=/var/lib/testmo-courier/courier.key \
    COURIER_OBSERVE__LISTEN=0.0.0.0:9464
USER 10001:10001
WORKDIR /var/lib/testmo-courier
# Contains the store and the master key that encrypts the tenants' API keys; keep a copy of the key elsewhere.
VOLUME /var/lib/testmo-courier
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["testmo-courier", "health"]
ENTRYPOINT ["testmo-courier"]
CMD ["run"]
