# In the place of Toxiproxy's image (docs/toxiproxy.md):
#
#   docker build -f docker/toxiproxy.Dockerfile -t hormesis-toxiproxy .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin hormesis

FROM debian:bookworm-slim
COPY --from=build /src/target/release/hormesis /usr/local/bin/hormesis
# By these names it is Toxiproxy's programs, at the paths that those have in the original image.
RUN ln -s /usr/local/bin/hormesis /toxiproxy && ln -s /usr/local/bin/hormesis /toxiproxy-cli
USER 65532
EXPOSE 8474
ENV LOG_LEVEL=info
STOPSIGNAL SIGTERM
ENTRYPOINT ["/toxiproxy"]
CMD ["-host=0.0.0.0"]
