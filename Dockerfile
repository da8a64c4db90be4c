FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
# The roots of trust, for object stores and Kafka over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --create-home ringlake
COPY --from=build /src/target/release/ringlake /usr/local/bin/ringlake
USER ringlake
WORKDIR /data
# So that `docker compose exec … ringlake query` means the same data and needs no flags.
ENV RINGLAKE_DATA=/data RINGLAKE_LISTEN=0.0.0.0:8640
VOLUME /data
EXPOSE 8640
ENTRYPOINT ["ringlake"]
CMD ["serve"]
