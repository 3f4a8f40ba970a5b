"""The config.toml that `sluice config init` writes: every setting, explained, and none in force."""

TEMPLATE = """\
# Settings of the terminal. An option wins over the environment, that over the profile, that over what stands here.
# `sluice config` shows what counts and where it came from.

# default_profile = "work"

# url = "https://chat.example.org"       # an OpenAI-compatible server; the function on this machine without one
# agent = "assistant"                    # the server's first without one
# key_file = "~/.config/sluice/key"      # the API key: the first line of a file,
# key_command = "pass show sluice"       # or of what a command prints. It goes only to the url beside it.
# iam = true                             # Cloud Run checks a Google identity before it
# system = "Answer briefly."             # instructions, for `sluice ask` and `sluice --plain`
# timeout = 120                          # seconds that `sluice ask` may take
# theme = "nord"                         # the colours of the chat

# [keys]                                 # keys of the chat; F1 in the chat lists them
# new = "ctrl+n"

# [profiles.work]                        # `sluice --profile work`, or SLUICE_PROFILE=work
# url = "https://sluice.example.run.app"
# iam = true
# key_command = ["gcloud", "secrets", "versions", "access", "latest", "--secret", "my-sluice-key"]

# [profiles.ollama]
# url = "http://127.0.0.1:11434"
# agent = "llama3.2"
"""
