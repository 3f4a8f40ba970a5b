"""LiteLLM's proxy, in a virtual environment of its own that is made when it is first wanted."""

import subprocess
import sys
from pathlib import Path

from bench.programs import BUILD

VERSION = "1.106.2"
ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Else it fetches prices from the network as it starts."""

_CONFIG = """
model_list:
  - model_name: bench
    litellm_params: {{model: openai/gpt-4.1-mini, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""


def config(upstream_port: int, key: str) -> str:
    """One model and one key, no database."""
    return _CONFIG.format(upstream=upstream_port, key=key)


def program() -> Path:
    """The proxy's command. Raises SystemExit when it cannot be installed."""
    environment = BUILD / f"litellm-{VERSION}"
    command = environment / "bin" / "litellm"
    if not command.exists():
        print(f"Installing litellm[proxy] {VERSION} into {environment}", flush=True)
        try:
            _install(environment)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"LiteLLM cannot be installed here ({error}); leave it out with --gateways.") from None
    return command


def _install(environment: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, f"litellm[proxy]=={VERSION}"], check=True)
