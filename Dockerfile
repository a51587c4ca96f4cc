FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN python -m pip install uv==0.13.8
WORKDIR /src
# The dependencies first: this layer is kept until the lock file changes.
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/opt/kro-es
RUN uv sync --locked --no-dev --no-install-project --compile-bytecode
COPY README.md ./
COPY deploy/crds deploy/crds
COPY migrations migrations
COPY kro_es kro_es
RUN uv sync --locked --no-dev --no-editable --compile-bytecode

FROM python:3.11.14-slim-bookworm
RUN groupadd --gid 65532 kro-es \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/kro-es --shell /usr/sbin/nologin kro-es \
 && install -d -o 65532 -g 65532 /var/lib/kro-es
COPY --from=build /opt/kro-es /opt/kro-es
ENV PATH=/opt/kro-es/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/kro-es
EXPOSE 8078 8079
ENTRYPOINT ["kro-es"]
CMD ["--help"]
