# docker build -t stt-server .
# docker run --gpus all -p 5001:8000 -e API_KEYS=me:$KEY \
#   --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -v stt-models:/models -v stt-data:/data stt-server
#
# The container accepts other machines, so it requires keys (KEY=$(openssl rand -hex 32), docs/security.md). It writes only to /data, /models and /tmp.
# All packages are wheels, and torch brings the CUDA libraries: no compiler and no CUDA image are needed.
FROM python:3.11-slim-bookworm

WORKDIR /app

# Packages of optional features, such as --build-arg EXTRA_PACKAGES=boto3 for JOB_AUDIO_URL.
ARG EXTRA_PACKAGES=""
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt $EXTRA_PACKAGES \
    && useradd --create-home --uid 1000 stt \
    && install -d -o stt /models /data /data/tmp

COPY . .

# STT_PYTHON: the packages are installed, so entrypoint.sh installs nothing. HF_HOME, ASR_MODEL_CACHE: folders for downloaded models.
# DATA_DIR: folder of jobs. TMPDIR: folder for uploads, on a disk and not in memory. MALLOC_: as in entrypoint.sh, for other commands in the image.
ENV STT_PYTHON=python \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data/jobs \
    TMPDIR=/data/tmp \
    MALLOC_ARENA_MAX=2 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    HF_HOME=/models \
    ASR_MODEL_CACHE=/models/stt-server \
    HOST=0.0.0.0 \
    PORT=8000

USER 1000
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=2)"]

ENTRYPOINT ["./entrypoint.sh"]
CMD ["serve"]
