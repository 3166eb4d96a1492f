"""A program that asks Claude something. It holds no key: the SDK finds its credential in the profile that
`credence exec --destination claude` made for it."""

import os
import stat

import anthropic

secrets = [name for name in os.environ if "KEY" in name or "TOKEN" in name]
profile = os.environ["ANTHROPIC_CONFIG_DIR"]
mode = stat.S_IMODE(os.stat(profile).st_mode)
print(f"user {os.getuid()}, variables with a secret: {secrets or 'none'}, profile folder {profile} ({mode:04o})")

message = anthropic.Anthropic().messages.create(
    model="claude-haiku-5-5", max_tokens=100,
    messages=[{"role": "user", "content": "Summarize: a letter of credence is handed over to be believed."}])
print(f"Claude answers: {message.content[0].text}")
