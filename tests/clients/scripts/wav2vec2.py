"""Transcribe a file with the API of wav2vec2, and print the transcript.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, path of the file.
"""

import sys

import requests


def main():
    with open(sys.argv[2], "rb") as file:
        response = requests.post(f"{sys.argv[1]}/wav2vec2", files={"file": ("sample.wav", file, "audio/wav")})
    result = response.json()
    assert result["status"] == "success", result
    assert result["path"] == "sample.wav"
    print(result["transcript"])


if __name__ == "__main__":
    main()
