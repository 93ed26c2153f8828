"""Throws what Schemathesis makes of our OpenAPI document at a running stack.

    make contract

No answer may be a 5xx, and each must be as the document says: status, headers, media type, schema. What the document
forbids must be refused, and what needs a key must not be had without one. Not asked of it: that everything which fits
the document is taken, because it cannot say that a sale ends after it begins.

The stack is `flashsale up` on a folder and ports of its own; both are gone afterwards. The seed is fixed: a run is as
the one before, but for the times and ids in the answers.

    run.py PROGRAM [OPTION OF SCHEMATHESIS…]
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

KEY = "contract-admin-key-12345678"
# A first start makes a database and formats a log; a slow machine does that in a minute.
READY_WITHIN_S = 90
STOPPED_WITHIN_S = 60
# Below the range that the kernel gives to outgoing connections, and above the one that `up` takes for its servers.
PORTS = range(32_000, 32_700)
OPTIONS = [
    "--checks=all",
    "--exclude-checks=positive_data_acceptance",
    "--phases=examples,coverage,fuzzing",
    "--max-examples=8",
    "--seed=1",
    "--workers=2",
    "--continue-on-failure",
    "--no-shrink",
    "--generation-database=none",
    "--suppress-health-check=all",
    "--request-timeout=30",
    "--warnings=off",
    "--no-color",
]
# A stream does not end. What is removed cannot be bought any more, so that comes last.
RUNS = [
    ["--exclude-path=/api/v1/sales/events", "--exclude-operation-id=deleteProduct"],
    ["--include-operation-id=deleteProduct"],
]


def free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    sys.exit("contract: no port is free")


def environment(**ours: str) -> dict[str, str]:
    """Without a developer's settings."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FLASHSALE_") or name == "FLASHSALE_CACHE_DIR"
    }
    return passed | ours


def ask(url: str, body: dict | None = None, **headers: str) -> int:
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, headers | {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_until_ready(url: str, up: subprocess.Popen) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while ask(f"{url}/health/ready") != 200:
        if up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("`flashsale up` did not become ready")
        time.sleep(0.1)


def furnish(url: str, brokers: str) -> None:
    """What the examples of the document name is there, and a dead letter."""
    for sku, start in [("DEMO", "2026-01-01T00:00:00Z"), ("LATER", "2098-01-01T00:00:00Z")]:
        sale = {"sku": sku, "productName": "A phone", "initialStock": 1_000_000, "startTime": start}
        status = ask(f"{url}/api/v1/products", sale | {"endTime": "2099-01-01T00:00:00Z"}, X_Admin_Key=KEY)
        assert status == 201, f"a sale of {sku} was not set up: {status}"
    deadline = time.monotonic() + 10
    # The write edge hears of a sale by the log.
    while (status := ask(f"{url}/api/v1/purchases", {"sku": "DEMO"}, X_User_Id="alice")) not in (200, 202):
        assert time.monotonic() < deadline, f"nothing could be bought: {status}"
        time.sleep(0.1)
    # Older releases of Debian name it kafkacat.
    kcat = shutil.which("kcat") or "kafkacat"
    command = [kcat, "-P", "-b", brokers, "-t", "flashsale.purchase-decisions.v1", "-p", "0"]
    subprocess.run(command, input=b'{"hello":1}', check=True)


def throw(url: str, root: Path, more: list[str]) -> bool:
    st = str(Path(sys.executable).with_name("st"))
    is_good = True
    for which in RUNS:
        command = [st, "run", f"{url}/api/openapi.json", f"--header=X-Admin-Key:{KEY}", *which, *OPTIONS, *more]
        is_good &= subprocess.run(command, cwd=root, env=environment()).returncode == 0
    return is_good


def stop(up: subprocess.Popen) -> None:
    up.send_signal(signal.SIGTERM)
    try:
        up.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        # Its servers are tied to it and end with it.
        up.kill()
        up.wait()


def main() -> None:
    program, more = str(Path(sys.argv[1]).resolve(strict=True)), sys.argv[2:]
    root = Path(tempfile.mkdtemp(prefix="flashsale-contract-"))
    # Postgres refuses to run as root and becomes another user, who must get at its data.
    root.chmod(0o755)
    address, data, said = f"127.0.0.1:{free_port()}", root / "data", root / "up.log"
    settings = {"FLASHSALE_DATA_DIR": str(data), "FLASHSALE_HTTP_ADDRESS": address, "FLASHSALE_ADMIN_KEY": KEY}
    url, is_good = f"http://{address}", False
    with said.open("wb") as log:
        command = [program, "up", "--no-demo"]
        up = subprocess.Popen(command, env=environment(**settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until_ready(url, up)
        furnish(url, f"127.0.0.1:{json.loads((data / 'ports.json').read_text())['kafka']}")
        is_good = throw(url, root, more)
    finally:
        stop(up)
        lines = said.read_text(errors="replace").splitlines()
        panics = [line for line in lines if "panicked" in line]
        if panics or not is_good:
            print("contract: the stack said:", *(panics or lines[-40:]), sep="\n", file=sys.stderr)
        # It knows of data that could not live below the folder.
        subprocess.run([program, "reset", "--yes", "--data-dir", str(data)], env=environment(), stdout=subprocess.DEVNULL)
        shutil.rmtree(root, ignore_errors=True)
    if panics or not is_good:
        sys.exit(1)


if __name__ == "__main__":
    main()
