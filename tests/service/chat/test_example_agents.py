"""agents.examples.toml, which people copy from, and the credentials of providers."""

from pathlib import Path

import pytest

from sluice_service import chat
from sluice_service.chat.agents import AgentsError, read_agents

EXAMPLES = Path(chat.__file__).parents[1] / "agents.examples.toml"


def test_examples_are_agents_that_can_be_offered() -> None:
    file = read_agents(EXAMPLES)

    used = {upstream.provider for agent in file.agents for upstream in agent.upstreams}
    assert used == set(file.providers) == {"vertex", "openrouter", "ollama", "vllm"}


def test_gemini_example_needs_no_key() -> None:
    vertex = read_agents(EXAMPLES).providers["vertex"]

    assert (vertex.auth, vertex.api_key_env) == ("google", None)
    assert vertex.base_url.endswith("aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/endpoints/openapi")


@pytest.mark.parametrize(
    ("credentials", "complaint"),
    [
        ('auth = "google"\napi_key_env = "A_KEY"', "auth and api_key_env"),
        ('auth = "azure"', "providers.mine.auth"),
    ],
)
def test_credentials_that_cannot_be_meant_are_named_with_their_provider(
    credentials: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(f'[providers.mine]\nbase_url = "http://127.0.0.1:1/v1"\n{credentials}\n', encoding="utf-8")

    with pytest.raises(AgentsError) as refused:
        read_agents(file)

    assert "agents.toml: providers.mine" in str(refused.value)
    assert complaint in str(refused.value)
