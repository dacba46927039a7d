"""The embedded model's own tokenizer: words and entities of the game as tokens, bytes for everything else.

An entity ("cabinet 3") is one token, a command never is: the pieces into which text is cut before the vocabulary is
consulted hold at most a verb or an entity, and one-word commands are cut after their first letter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
ONE_WORD_COMMANDS = ("look", "inventory", "help")
_PHRASES = ("go to", "You arrive at", "you see", "On the", "In it", "and a", "Nothing happens", "You pick up the")
_PIECE = "|".join(
    [
        *(rf" ?{word[0]}(?={word[1:]}\b)" for word in ONE_WORD_COMMANDS),
        *(rf" ?{phrase}\b" for phrase in _PHRASES),
        r" ?[a-z]+ \d+\b",
        r" ?[A-Za-z]+",
        r"\n> |; |\. |, |\n",
        r" ?[^\sA-Za-z]",
        r"\s",
    ]
)


def build_tokenizer(texts: Iterable[str], numbered: dict[str, int], size: int) -> PreTrainedTokenizerFast:
    """Tokenizer over `texts` with at most `size` tokens.

    `numbered` maps an entity kind to its highest number: all its numbers become tokens, seen in `texts` or not. Pieces
    beyond `size` (the rarest) are spelt in characters, and characters outside ASCII in bytes.
    """
    splitter = pre_tokenizers.Split(Regex(_PIECE), "isolated")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    entities = [f" {name} {number}" for name, highest in sorted(numbered.items()) for number in range(1, highest + 1)]
    kinds = [f" {name}" for name in sorted(numbered)]
    special = [PAD, END, USER, ASSISTANT]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)] + [chr(code) for code in range(32, 127)] + ["\n"]
    required = dict.fromkeys(special + fallback + entities + kinds)
    frequent = [
        piece for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if piece not in required
    ]
    pieces = [*required, *frequent[: max(0, size - len(required))]]
    total = sum(counts.values()) or 1
    spelt = set(special + fallback)
    vocabulary = [(piece, -30.0 if piece in spelt else math.log((counts[piece] + 1) / total)) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
