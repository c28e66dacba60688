"""Transcribe a file at an address with the API of STT results, and print the script.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, address of the file.
"""

import sys
import time

import requests

headers = {"Authorization": "Bearer none"}


def main():
    response = requests.post(f"{sys.argv[1]}/api/stt/", json={"audio_url": sys.argv[2]}, headers=headers)
    response.raise_for_status()
    key = response.json()["stt_result_key"]
    deadline = time.time() + 100
    while time.time() < deadline:
        result = requests.get(f"{sys.argv[1]}/api/stt/{key}/", headers=headers).json()
        if result["stt_result_status"] != "pending":
            assert result["stt_result_status"] == "success", result
            assert result["stt_start_time"] < result["stt_end_time"]
            print(result["stt_result_script"])
            return
        time.sleep(0.5)
    sys.exit("timeout")


if __name__ == "__main__":
    main()
