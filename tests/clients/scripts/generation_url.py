"""Transcribe a file at an address with the hosted API of generations, and print the transcript.

It is written like the example in that API's documentation, with another base URL. Runs in the client's
environment: nothing of ours can be imported. Arguments: base URL, address of the file.
"""

import sys
import time

import requests

base_url = sys.argv[1]
api_key = "none"


def create_stt():
    response = requests.post(
        f"{base_url}/stt/create",
        headers={"Authorization": f"Bearer {api_key}"},
        json={"model": "#g1_nova-2-general", "url": sys.argv[2]},
    )
    if response.status_code >= 400:
        print(f"Error: {response.status_code} - {response.text}")
        return None
    return response.json()


def get_stt(gen_id):
    response = requests.get(f"{base_url}/stt/{gen_id}", headers={"Authorization": f"Bearer {api_key}"})
    return response.json()


def main():
    stt_response = create_stt()
    gen_id = stt_response.get("generation_id")
    start_time = time.time()
    while time.time() - start_time < 600:
        response_data = get_stt(gen_id)
        status = response_data.get("status")
        if status == "waiting" or status == "active":
            time.sleep(10)
        else:
            print(response_data["result"]["results"]["channels"][0]["alternatives"][0]["transcript"])
            return response_data
    print("Timeout reached. Stopping.")
    return None


if __name__ == "__main__":
    main()
