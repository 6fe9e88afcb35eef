"""Ends with status 0 when the orchestrator in this container takes work."""

import os
import ssl
import sys
import urllib.error
import urllib.request


def main():
    port = os.environ.get("DISTRO_LISTEN", "127.0.0.1:7000").rpartition(":")[2]
    scheme = "https" if os.environ.get("DISTRO_TLS_CERT") else "http"
    # Nobody stands between a container and itself, whatever proxy its jobs use;
    # its certificate names other hosts than this address.
    trusting = ssl._create_unverified_context()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting)
    )
    try:
        opener.open(f"{scheme}://127.0.0.1:{port}/readyz", timeout=4).close()
    except (OSError, urllib.error.URLError) as problem:
        sys.exit(f"not ready: {problem}")


if __name__ == "__main__":
    main()
