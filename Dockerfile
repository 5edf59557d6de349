# Only what the worker needs: the program, the libraries that it is linked with, and the certificates of public authorities.
# There is no shell, and no file that the worker may change outside of its volumes.
FROM rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS build
WORKDIR /src
COPY . .
# The caches keep the compiled dependencies, so a change of the source compiles only the source.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package testmo-courier --package testmo-sim --bins \
    && install -D -t /out target/release/testmo-courier target/release/testmo-sim
RUN deploy/image/assemble.sh /out/testmo-courier /courier \
    && deploy/image/assemble.sh /out/testmo-sim /simulator \
    && install -d -m 700 /volumes/testmo-courier /volumes/testmo-courier-key

# A stand-in for Testmo, to try the worker with: docker build --target simulator
FROM scratch AS simulator
COPY --from=build /simulator /
USER 10001:10001
EXPOSE 8080
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/testmo-sim"]
CMD ["--listen", "0.0.0.0:8080", "--allow-any-address"]

FROM scratch AS courier
COPY --from=build /courier /
COPY --from=build --chown=10001:10001 /volumes /var/lib
ENV PATH=/usr/local/bin \
    COURIER_STORE__URL=sqlite:/var/lib/testmo-courier/courier.db \
    COURIER_KEYS__MASTER_KEY_FILE=/var/lib/testmo-courier-key/courier.key \
    COURIER_OBSERVE__LISTEN=0.0.0.0:9464
USER 10001:10001
WORKDIR /var/lib/testmo-courier
# The store, and apart from it the master key that encrypts the tenants' API keys; keep a copy of the key elsewhere.
VOLUME /var/lib/testmo-courier /var/lib/testmo-courier-key
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["testmo-courier", "health", "--url", "http://127.0.0.1:9464/livez"]
ENTRYPOINT ["/usr/local/bin/testmo-courier"]
CMD ["run"]
