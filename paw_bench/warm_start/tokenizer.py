"""The embedded models' own tokenizers: words and names of the environment as tokens, bytes for everything else.

In ALFWorld a place ("cabinet 3") is one token, because a prompt lists all places; an object ("apple 2") is two, so that
the word in the instruction and the thing on the shelf share one. A command is never one token: pieces hold at most a
verb or an entity, and one-word commands are cut after their first letter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from paw_bench.warm_start.config import TokenizerConfig

PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
ONE_WORD_COMMANDS = ("look", "inventory", "help")


def build_tokenizer(
    texts: Iterable[str], places: dict[str, int], size: int, config: TokenizerConfig | None = None
) -> PreTrainedTokenizerFast:
    """Tokenizer over `texts` with at most `size` tokens, by default of ALFWorld's pieces.

    `places` maps a kind of receptacle to its highest number: all its numbers become tokens, seen in `texts` or not.
    Pieces beyond `size` (the rarest) are spelt in characters, and characters outside ASCII in bytes.
    """
    splitter = pre_tokenizers.Split(Regex(_pieces(places, config or TokenizerConfig())), "isolated")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    entities = [f" {name} {number}" for name, highest in sorted(places.items()) for number in range(1, highest + 1)]
    special = [PAD, END, USER, ASSISTANT]
    spelling = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *map(chr, range(32, 127)), "\n"]
    required = dict.fromkeys(spelling + entities)
    by_frequency = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [piece for piece, _ in by_frequency if piece not in required]
    pieces = [*required, *frequent[: max(0, size - len(required))]]
    total = sum(counts.values()) or 1
    spelt = set(spelling)
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


def _pieces(places: dict[str, int], config: TokenizerConfig) -> str:
    """Pattern of the pieces that can become tokens."""
    return "|".join(
        [
            *config.patterns,
            *(rf" ?{word[0]}(?={word[1:]}\b)" for word in ONE_WORD_COMMANDS),
            *(rf" ?{phrase}\b" for phrase in config.phrases),
            *([rf" ?(?:{'|'.join(sorted(places))}) \d+\b"] if places else []),
            r" ?[A-Za-z]+",
            r" \d+\b",
            r"\n> |; |\. |, |\n",
            r" ?[^\sA-Za-z]",
            r"\s",
        ]
    )
