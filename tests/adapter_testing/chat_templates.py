"""Chat templates with the traits that well-known models have."""

CLOSED_BY_ANOTHER_TOKEN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}<|endoftext|>{% endif %}"
)
"""As Phi 3: a turn ends with a token of its own, the conversation with the end-of-sequence token."""

FORGETS_THOUGHTS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen 3: only the last answer shows that there were thoughts."""

BEGINS_WITH_A_THOUGHT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
"""As DeepSeek R1: the generation prompt begins an answer that stands otherwise in the conversation."""

WITHOUT_SPECIAL_TOKENS = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""As Alpaca: nothing says that an answer is over."""

WANTS_TURNS = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}"
    "{{ message['content'] }}<|im_end|>{% endfor %}"
)
"""As Mistral: roles must alternate."""

BEGINS_WITH_BOS = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %} {{ message['content'] | trim }}{{ eos_token }}"
    "{% else %}[INST] {{ message['content'] | trim }} [/INST]{% endif %}{% endfor %}"
)
"""As Llama 2: the template writes the token that begins a text; an answer ends with the one that ends a text."""

KEEPS_THOUGHTS_OF_THE_LAST_ANSWER = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' and not loop.last and '</think>' in message['content'] %}"
    "{{ message['content'].split('</think>')[-1] }}{% else %}{{ message['content'] }}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen 3 and DeepSeek R1: thoughts of earlier answers are cut out."""

MARKS_ANSWERS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As templates made for training: answers stand between generation markers."""

ALL = (
    CLOSED_BY_ANOTHER_TOKEN,
    FORGETS_THOUGHTS,
    BEGINS_WITH_A_THOUGHT,
    WITHOUT_SPECIAL_TOKENS,
    WANTS_TURNS,
    BEGINS_WITH_BOS,
    KEEPS_THOUGHTS_OF_THE_LAST_ANSWER,
    MARKS_ANSWERS,
)
