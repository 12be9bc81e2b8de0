# Two images: `prescale`, the last stage and so the default, and `--target demo-backend`.
#
#   docker build --tag prescale:0.1.0 .
#   docker build --tag prescale-demo-backend:0.1.0 --target demo-backend .
#
# BuildKit builds them. For two architectures build each on its own kind of machine: under emulation the compiler takes many times as long.
#
# The two base images are named once each, by tag, so that a build brings their security updates. For builds that must repeat, pin them by digest:
# `docker buildx imagetools inspect debian:trixie-slim` prints it, and `debian:trixie-slim@<what it printed>` goes into the line below.
FROM docker.io/library/rust:1.95-slim-trixie AS rust
FROM docker.io/library/debian:trixie-slim AS debian

# --- kubectl renders overlays before and after an edit: the proof.
FROM debian AS kubectl
# The version that the tests render with.
ARG KUBECTL_VERSION=v1.37.1
# Set by BuildKit for each platform: amd64, arm64.
ARG TARGETARCH
# Packages without versions, here and below: Debian keeps one of each, and drops it with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /download
RUN url="https://dl.k8s.io/release/${KUBECTL_VERSION}/bin/linux/${TARGETARCH}/kubectl" \
    && curl --proto '=https' --tlsv1.2 --fail --fail-early --silent --show-error --location --retry 3 \
        --output kubectl "${url}" --output kubectl.sha256 "${url}.sha256" \
    && printf '%s  kubectl\n' "$(cat kubectl.sha256)" > sums \
    && sha256sum --check --strict sums \
    && chmod 0755 kubectl

# --- The sources, and what the C libraries need that are built with them (libgit2, libssh2, OpenSSL).
FROM rust AS source
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# A fifth smaller; panics are still told with file and line.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# The caches outlive a build, so that only what changed is compiled. What is in them is no part of any image: the program is copied out.
FROM source AS build
ARG TARGETARCH
RUN --mount=type=cache,id=prescale-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=prescale-target-${TARGETARCH},target=/source/target,sharing=locked \
    cargo build --locked --release --package prescale \
    && cp target/release/prescale /usr/local/bin/prescale

FROM source AS build-demo-backend
ARG TARGETARCH
RUN --mount=type=cache,id=prescale-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=prescale-target-${TARGETARCH},target=/source/target,sharing=locked \
    cargo build --locked --release --package demo-backend \
    && cp target/release/demo-backend /usr/local/bin/demo-backend

# --- The backend of the demo, which Prescale scales.
FROM debian AS demo-backend
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="prescale-demo-backend" \
      org.opencontainers.image.description="The backend of the demo that Prescale scales" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
COPY LICENSE /usr/share/doc/prescale-demo-backend/LICENSE
COPY --from=build-demo-backend /usr/local/bin/demo-backend /usr/local/bin/demo-backend
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/demo-backend"]

# --- Prescale.
FROM debian AS prescale
# git fetches remote bases for kubectl, over ssh by openssh-client, which also brings ssh-keyscan for known hosts. Prescale's own Git needs neither.
# ssh wants its user to have a name. The folders are where the manifests mount configuration and state.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 prescale \
    && useradd --no-log-init --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin prescale \
    && install --directory /etc/prescale \
    && install --directory --owner 65532 --group 65532 /var/lib/prescale
COPY LICENSE /usr/share/doc/prescale/LICENSE
COPY --from=kubectl /download/kubectl /usr/local/bin/kubectl
COPY --from=build /usr/local/bin/prescale /usr/local/bin/prescale
# What changes with each release stands last, so that the layers above stay.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="prescale" \
      org.opencontainers.image.description="Forecasts what every Kubernetes workload will need and writes it into Kustomize overlays, through Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
# The root file system may be read-only: nothing is written but to the state and to /tmp.
ENV HOME=/tmp
WORKDIR /var/lib/prescale
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/prescale"]
CMD ["--help"]
